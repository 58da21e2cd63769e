"""Importing by upload: look at what is in a file, then import all of it, once."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from werkzeug.test import TestResponse

from app.guardian.commands import resume, stop
from app.kernel.errors import AtesError
from app.schedules import prune_expired
from app.tasks import commands
from app.tasks.commands import UPLOAD_MAX_BYTES, importing
from tests.company import Company

GOOD = "Summary,Issue key,Status\nFeed the parrots,av-1,To Do\n[urgent] Paint,,Done\n"
BAD = "Summary,Issue key\nfine,AV-1\n,AV-2\nfine,no key\n"
TASKS, UPLOADS = "SELECT count(*) FROM tasks", "SELECT count(*) FROM imports"
MEGABYTE = 1024 * 1024


@pytest.fixture
def manager(make_user: Callable[..., Any]) -> Any:
    """Beside two developers."""
    make_user("developer")
    make_user("developer")
    return make_user("manager")


@pytest.fixture
def browser(manager: Any, sign_in: Callable[..., Any]) -> Any:
    return sign_in(manager)


def sent(browser: Any, content: str | bytes, name: str = "backlog.csv") -> TestResponse:
    data = content.encode() if isinstance(content, str) else content
    answer: TestResponse = browser.post("/tasks/imports", {"file": (io.BytesIO(data), name)})
    answer.request.environ["wsgi.input"].close()  # the test client forgets its temporary file
    return answer


def words(answer: TestResponse) -> str:
    return re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", answer.get_data(as_text=True)))


def test_a_file_is_looked_at_then_imported_and_watched(browser: Any, company: Company) -> None:
    answer = sent(browser, GOOD)
    assert answer.status_code == 303
    url = answer.location
    preview = words(browser.get(url))
    assert "Import of backlog.csv" in preview
    assert "AV-1 Feed the parrots" in preview
    assert "(urgent) Paint" in preview
    assert "Used Summary, Issue key Ignored Status" in preview
    assert re.search(r"at least \$20\.00 .*most \$40\.00", preview)
    assert company.value(TASKS) == 0
    assert browser.post(f"{url}/confirmation").location == url
    assert company.value(TASKS) == 2
    page = browser.get(url)
    assert "2 tasks were imported" in words(page)
    assert "0 of 2 posted" in words(page)
    assert "hx-get" in page.text
    company.post()
    page = browser.get(url)
    assert "2 of 2 posted" in words(page)
    assert "data-progress" not in page.text
    assert "All 2 fees are posted." in browser.get(url, htmx=True).text
    assert not company.broken_rules()


def test_bad_rows_are_told_by_line_and_nothing_is_imported(browser: Any, company: Company) -> None:
    url = sent(browser, BAD).location
    page = browser.get(url)
    assert "2 rows are not right" in words(page)
    assert "3 Summary Give the task a name" in words(page)
    assert "4 Issue key Not of the form KEY-12: no key" in words(page)
    assert "confirmation" not in page.text
    refused = browser.post(f"{url}/confirmation")
    assert refused.location == url
    assert "Line 3: Give the task a name" in words(browser.get(url))
    assert company.value(TASKS) == 0


def test_the_lines_are_told_in_the_reader_s_language(browser: Any) -> None:
    url = sent(browser, BAD).location
    browser.client.set_cookie("lang", "ru")
    page = words(browser.get(url))
    assert "3 Summary Дайте задаче название" in page
    assert "похоже на КЛЮЧ-12: no key" in page


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "The file is empty"),
        (b"Title\nx\n", "Line 1: No column Summary"),
        ("Тема;Итог\n1;2\n", "Line 1: No column Summary"),
        ("Summary\n Покормить\n".encode("cp1251"), "Line 2: Not UTF-8"),
        (b"Summary\n", "There are no tasks in it"),
        (b'Summary\n"open\n', "A quote is opened and never closed"),
    ],
)
def test_what_is_no_such_file_is_refused_at_once(
    browser: Any, company: Company, content: str | bytes, told: str
) -> None:
    refused = sent(browser, content)
    assert refused.status_code == 422
    assert told in words(refused)
    assert 'aria-invalid="true"' in refused.text
    assert company.value(UPLOADS) == 0


def test_without_a_file_one_is_asked_for(browser: Any) -> None:
    for answer in (browser.post("/tasks/imports"), sent(browser, b"", name="")):
        assert answer.status_code == 422
        assert "Choose a file" in words(answer)


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("C:/Users/kesha/backlog.csv", "backlog.csv"),
        ("../../etc/passwd", "passwd"),
        ("<b>list</b>.csv", "b>.csv"),
        ("список задач.csv", "список задач.csv"),
        ("x" * 300, "x" * 200),
    ],
)
def test_a_file_s_name_is_only_shown(browser: Any, company: Company, name: str, kept: str) -> None:
    url = sent(browser, GOOD, name=name).location
    assert company.value("SELECT file_name FROM imports") == kept
    assert browser.get(url).status_code == 200


def test_too_large_is_a_page_with_advice_and_only_this_form_takes_megabytes(
    browser: Any, company: Company
) -> None:
    filler = f",{'d' * 19_000}\n"
    large = "Summary,Description\n" + "".join(f"task {n}{filler}" for n in range(150))
    assert len(large) > 2 * MEGABYTE
    assert sent(browser, large).status_code == 303
    for size in (UPLOAD_MAX_BYTES + 1, UPLOAD_MAX_BYTES + MEGABYTE):
        refused = sent(browser, b"Summary\n" + b"x" * size)
        assert refused.status_code == 413
        assert "at most 5 MB" in words(refused)
    elsewhere = browser.post("/tasks", {"name": "x", "description": "d" * 2 * MEGABYTE})
    assert elsewhere.status_code == 413
    assert company.value(UPLOADS) == 1


def test_too_many_rows_are_refused(
    browser: Any, company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "UPLOAD_MAX_TASKS", 1)
    refused = sent(browser, GOOD)
    assert refused.status_code == 422
    assert "Line 3: More than 1 tasks" in words(refused)


def test_sent_twice_it_is_imported_once(browser: Any, company: Company) -> None:
    url = sent(browser, GOOD).location
    assert sent(browser, GOOD).location == url, "the same file that waits is the same upload"
    for form in ({"idempotency_key": "a"}, {"idempotency_key": "a"}, {"idempotency_key": "b"}, {}):
        assert browser.post(f"{url}/confirmation", form).location == url
    assert company.value(TASKS) == 2
    assert company.value("SELECT count(*) FROM imports WHERE content IS NULL") == 1


def test_two_who_import_it_at_once_import_it_once(
    browser: Any, manager: Any, company: Company
) -> None:
    import_id = int(sent(browser, GOOD).location.rpartition("/")[2])
    with ThreadPoolExecutor(4) as pool:
        done = [
            pool.submit(company.call, commands.import_backlog, manager.actor, import_id)
            for _ in range(4)
        ]
        assert [one.result(10) for one in done] == [None] * 4
    assert company.value(TASKS) == 2


def test_a_file_that_was_imported_before_is_warned_of(
    browser: Any, manager: Any, make_user: Callable[..., Any], sign_in: Callable[..., Any]
) -> None:
    first = sent(browser, GOOD).location
    assert "imported before" not in words(browser.get(first))
    browser.post(f"{first}/confirmation")
    other = sign_in(make_user("administrator"))
    again = words(other.get(sent(other, GOOD).location))
    assert "This very file was imported before" in again
    assert manager.login in again


def test_an_upload_is_its_owner_s_alone(
    browser: Any, company: Company, make_user: Callable[..., Any], sign_in: Callable[..., Any]
) -> None:
    url = sent(browser, GOOD).location
    other = sign_in(make_user("administrator"))
    assert other.get(url).status_code == 404
    assert other.post(f"{url}/confirmation").status_code == 404
    assert other.post(f"{url}/removal").status_code == 404
    assert sign_in(make_user("developer")).get(url).status_code == 403
    assert "backlog.csv" not in words(other.get("/tasks/imports"))
    assert "backlog.csv" in words(browser.get("/tasks/imports"))
    assert company.value(TASKS) == 0


def test_it_waits_until_it_is_discarded_or_a_day_old(browser: Any, company: Company) -> None:
    discarded = sent(browser, GOOD).location
    assert browser.post(f"{discarded}/removal").location == "/tasks/imports"
    assert browser.get(discarded).status_code == 404
    assert company.value(UPLOADS) == 0
    old = sent(browser, BAD).location
    company.call(prune_expired)
    assert browser.get(old).status_code == 200
    company.rows("UPDATE imports SET expires_at = now() - interval '1 s' RETURNING id")
    assert browser.get(old).status_code == 404
    assert browser.post(f"{old}/confirmation").status_code == 404
    company.call(prune_expired)
    assert company.value(UPLOADS) == 0


def test_what_was_imported_is_neither_discarded_nor_pruned(browser: Any, company: Company) -> None:
    url = sent(browser, GOOD).location
    browser.post(f"{url}/confirmation")
    company.rows("UPDATE imports SET expires_at = now() - interval '1 s' RETURNING id")
    company.call(prune_expired)
    assert browser.post(f"{url}/removal").status_code == 404
    assert browser.get(url).status_code == 200


def test_the_files_that_wait_are_bounded(
    browser: Any, company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "WAITING_MAX", 2)
    for number in range(2):
        assert sent(browser, f"Summary\ntask {number}\n").status_code == 303
    refused = sent(browser, "Summary\none more\n")
    assert refused.status_code == 409
    assert "2 files wait already" in words(refused)
    assert sent(browser, "Summary\ntask 1\n").status_code == 303, "it waits already"
    assert company.value(UPLOADS) == 2


def test_with_nobody_to_draw_it_says_so_and_keeps_the_file(browser: Any, company: Company) -> None:
    url = sent(browser, GOOD).location
    company.rows("UPDATE users SET is_active = false WHERE role = 'developer' RETURNING id")
    page = browser.get(url)
    assert "Nobody can be assigned tasks right now" in words(page)
    assert "confirmation" not in page.text
    browser.post(f"{url}/confirmation")
    assert "No employee can be assigned" in words(browser.get(url))
    assert company.value(TASKS) == 0
    company.rows("UPDATE users SET is_active = true WHERE role = 'developer' RETURNING id")
    browser.post(f"{url}/confirmation")
    assert company.value(TASKS) == 2


def test_during_a_stop_a_file_waits(
    browser: Any, company: Company, make_user: Callable[..., Any]
) -> None:
    admin = make_user("administrator")
    company.call(stop, None, reason="a drill", origin="command line")
    url = sent(browser, GOOD).location
    for htmx in (False, True):
        refused = browser.post(f"{url}/confirmation", htmx=htmx)
        assert refused.status_code == 503
        assert "Changes are stopped" in words(refused)
    assert "Import of backlog.csv" in words(browser.get(url))
    company.call(resume, admin.actor, reason="it is over")
    browser.post(f"{url}/confirmation")
    assert company.value(TASKS) == 2


def test_who_is_signed_out_meanwhile_finds_the_file_again(
    browser: Any, manager: Any, anonymous: Any, sign_in: Callable[..., Any]
) -> None:
    url = sent(browser, GOOD).location
    for answer in (sent(anonymous, GOOD), anonymous.post(f"{url}/confirmation")):
        assert answer.status_code == 303
        assert answer.location.startswith("/sign-in")
    assert "not imported yet" in words(sign_in(manager).get("/tasks/imports"))


def test_the_command_needs_the_role(company: Company, make_user: Callable[..., Any]) -> None:
    for role in ("developer", "boss", "accountant", "other"):
        with pytest.raises(AtesError, match="role"):
            company.call(
                commands.upload_backlog,
                make_user(role).actor,
                file_name="x.csv",
                content=GOOD.encode(),
            )
    assert company.value(UPLOADS) == 0
