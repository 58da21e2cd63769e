"""Reading a backlog: a CSV in the shape of Jira's export, all of it or nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from app.tasks import commands, imports
from app.tasks.imports import BadFile, parse_backlog, read_backlog, tasks_in
from app.tasks.models import DESCRIPTION_MAX_LENGTH, Draft
from tests.company import Company


def reasons(content: str | bytes) -> list[str]:
    with pytest.raises(BadFile) as refusal:
        tasks_in(content.encode() if isinstance(content, str) else content)
    return [str(fault) for fault in refusal.value.faults]


def test_jira_s_shape_is_read() -> None:
    content = (
        "\ufeffIssue key,Summary,Status,Description,Summary,Comment\r\n"
        'AV-1,"Fix the ""north"" gate",To Do,"line one\r\nline, two",ignored,more\r\n'
        "\r\n"
        ',"a name\nof two lines"\r\n'
        "av-2,[urgent] Repaint,Done,  ,,\r\n"
    )
    assert tasks_in(content.encode()) == [
        Draft('[AV-1] Fix the "north" gate', "line one\nline, two"),
        Draft("a name\nof two lines", ""),
        Draft("[av-2] (urgent) Repaint", ""),
    ]


def test_only_the_summary_is_needed_and_names_of_columns_are_in_any_case() -> None:
    assert tasks_in(b" SUMMARY \nx\n") == [Draft("x", "")]


def test_it_says_which_columns_it_uses_and_goes_on_after_a_bad_row() -> None:
    backlog = parse_backlog(b"Id, Issue Key ,SUMMARY,Summary\n1,AV-1,x,y\n2,AV-2,,y\n3,,z,\n")
    assert (backlog.used, backlog.ignored) == (["Issue Key", "SUMMARY"], ["Id", "Summary"])
    assert backlog.drafts == [Draft("[AV-1] x"), Draft("z")]
    assert [str(fault) for fault in backlog.faults] == ["line 3: SUMMARY: Give the task a name"]


def test_each_bad_row_is_named_by_the_line_that_it_begins_on() -> None:
    content = (
        "Summary,Issue key,Description\n"
        'fine,,"two\nlines"\n'
        ",AV-1,no name\n"
        f"{'x' * 201},,\n"
        'fine,no key,"more\nlines"\n'
        f"fine,,{'d' * (DESCRIPTION_MAX_LENGTH + 1)}\n"
        "nul\x00,,\n"
    )
    assert [reason.split(":")[0] for reason in reasons(content)] == [
        "line 4",
        "line 5",
        "line 6",
        "line 8",
        "line 9",
    ]
    assert reasons(content)[0] == "line 4: Summary: Give the task a name"
    assert reasons(content)[1] == "line 5: Summary: At most 200 characters"
    assert reasons(content)[2] == "line 6: Issue key: Not of the form KEY-12: no key"
    assert reasons(content)[3].startswith("line 8: Description: At most")
    assert "cannot be stored" in reasons(content)[4]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "The file is empty"),
        (b"\n", "line 1: No column Summary"),
        (b"Title,Key\nx,1\n", "line 1: No column Summary"),
        (b"Issue key|Summary\nAV-1|x\n", "line 1: No column Summary"),
        (b"Summary\n", "There are no tasks"),
        (b"Summary\n\n  \n", "There are no tasks"),
        (b"Summary\nfine\n\xff\xfe\n", "line 3: Not UTF-8"),
        ("Summary\nx\n".encode("utf-16"), "line 1: Not UTF-8"),
        (b'Summary\n"never closed\n', "line 2: A quote is opened and never closed"),
        (b'Summary\n"closed" too early\n', "line 2: A quote in the middle"),
        (b"Summary\n" + b"x" * (imports.MAX_FIELD + 1), "line 2: A field is too long"),
    ],
)
def test_what_is_no_such_file_is_refused(content: bytes, reason: str) -> None:
    assert reasons(content)[0].startswith(reason)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_what_separates_the_columns_is_seen_in_the_header(separator: str) -> None:
    lines = [["Issue key", " summary "], ["AV-1", '"Feed, weigh; and\tlabel"']]
    content = "\r\n".join(separator.join(line) for line in lines)
    (draft,) = tasks_in(content.encode("utf-8-sig"))
    assert draft.name == "[AV-1] Feed, weigh; and\tlabel"


def test_the_bad_rows_that_are_told_and_the_rows_that_are_read_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(reasons("Summary,Issue key\n" + ",AV-1\n" * 1_000)) == imports.REPORTED
    assert len(tasks_in(b"Summary\n" + b"x\n" * 3, max_rows=3)) == 3
    with pytest.raises(BadFile, match="line 5: More than 3 tasks"):
        tasks_in(b"Summary\n" + b"x\n" * 4, max_rows=3)
    file = tmp_path / "backlog.csv"
    file.write_bytes(b"Summary\nx\n")
    assert read_backlog(file) == [Draft("x", "")]
    monkeypatch.setattr(imports, "MAX_BYTES", 5)
    with pytest.raises(BadFile, match="larger than"):
        read_backlog(file)
    with pytest.raises(BadFile, match="No such file"):
        read_backlog(tmp_path / "missing.csv")


def test_thousands_of_rows_are_created_in_seconds_in_the_file_s_order(
    company: Company, make_user: Callable
) -> None:
    manager = make_user("manager")
    for _ in range(3):
        make_user("developer")
    rows = "".join(f"task {number},AV-{number},\n" for number in range(2_000))
    drafts = tasks_in(f"Summary,Issue key,Description\n{rows}".encode())
    company.call(commands.create_tasks, manager.actor, drafts)
    found = company.rows("SELECT ticket_key FROM tasks ORDER BY id")
    assert [row.ticket_key for row in found] == [f"AV-{number}" for number in range(2_000)]
    company.post()
    assert company.value("SELECT count(*) FROM account_transfers") == 2_000
    assert not company.broken_rules()
