"""Reading a backlog: a CSV in the shape of Jira's export, all of it or nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from app.tasks import commands, imports
from app.tasks.imports import BadFile, parse_backlog, read_backlog
from app.tasks.models import DESCRIPTION_MAX_LENGTH, Draft
from tests.company import Company


def reasons(content: str | bytes) -> list[str]:
    with pytest.raises(BadFile) as refusal:
        parse_backlog(content.encode() if isinstance(content, str) else content)
    return refusal.value.reasons


def test_jira_s_shape_is_read() -> None:
    content = (
        "\ufeffIssue key,Summary,Status,Description,Summary,Comment\r\n"
        'AV-1,"Fix the ""north"" gate",To Do,"line one\r\nline, two",ignored,more\r\n'
        "\r\n"
        ',"a name\nof two lines"\r\n'
        "av-2,[urgent] Repaint,Done,  ,,\r\n"
    )
    assert parse_backlog(content.encode()) == [
        Draft('[AV-1] Fix the "north" gate', "line one\nline, two"),
        Draft("a name\nof two lines", ""),
        Draft("[av-2] (urgent) Repaint", ""),
    ]


def test_only_the_summary_is_needed_and_names_of_columns_are_in_any_case() -> None:
    assert parse_backlog(b" SUMMARY \nx\n") == [Draft("x", "")]


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
    assert reasons(content)[0] == "line 4: Give the task a name"
    assert "200" in reasons(content)[1]
    assert "NUL" in reasons(content)[4]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "line 1: no column Summary"),
        (b"Title,Key\nx,1\n", "line 1: no column Summary"),
        (b"Summary\n", "no tasks in it"),
        (b"Summary\n\n  \n", "no tasks in it"),
        (b"Summary\nfine\n\xff\xfe\n", "line 3: not UTF-8"),
        ("Summary\nx\n".encode("utf-16"), "line 1: not UTF-8"),
        (b'Summary\n"never closed\n', "line 2: unexpected end of data"),
        (b'Summary\n"closed" too early\n', "line 2: "),
        (b"Summary\n" + b"x" * (imports.MAX_FIELD + 1), "line 2: field larger"),
    ],
)
def test_what_is_no_such_file_is_refused(content: bytes, reason: str) -> None:
    assert reasons(content)[0].startswith(reason)


def test_the_bad_rows_that_are_told_and_the_rows_that_are_read_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(reasons("Summary,Issue key\n" + ",AV-1\n" * 1_000)) == imports.REPORTED
    monkeypatch.setattr(imports, "MAX_ROWS", 3)
    assert len(parse_backlog(b"Summary\n" + b"x\n" * 3)) == 3
    assert reasons(b"Summary\n" + b"x\n" * 4) == ["line 5: more than 3 tasks"]
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
    drafts = parse_backlog(f"Summary,Issue key,Description\n{rows}".encode())
    company.call(commands.create_tasks, manager.actor, drafts)
    found = company.rows("SELECT ticket_key FROM tasks ORDER BY id")
    assert [row.ticket_key for row in found] == [f"AV-{number}" for number in range(2_000)]
    company.post()
    assert company.value("SELECT count(*) FROM account_transfers") == 2_000
    assert not company.broken_rules()
