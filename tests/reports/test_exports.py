"""Exports above a page: made by a worker, seen in progress, taken up when a worker dies."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from app.accounting import commands
from app.accounting.commands import exports
from app.accounting.queries import PAGE_MAX
from tests.reports import surfaces
from tests.reports.conftest import Week

FORM = {"from": "2026-11-16", "to": "2026-11-22"}
STATE = "SELECT state::text, rows_done, rows_total, attempts, error FROM exports ORDER BY id DESC"


@pytest.fixture
def browser(week: Week, sign_in: Callable[..., Any]) -> Any:
    return sign_in(week.accountant)


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_an_export_is_made_and_equals_the_report(week: Week, browser: Any, kind: str) -> None:
    answer = browser.post("/exports", {**FORM, "format": kind})
    assert answer.status_code == 303
    page = browser.get(answer.location).get_data(as_text=True)
    assert "waiting for a worker" in page
    assert "hx-trigger" in page
    assert week.company.call(commands.make_exports) == 1
    page = browser.get(answer.location).get_data(as_text=True)
    assert "hx-trigger" not in page.split('id="export"')[1].split("</div>")[0]
    file = browser.get(f"{answer.location}/file")
    read = surfaces.csv_rows if kind == "csv" else surfaces.xlsx_rows
    rows, about = read(file.get_data())
    count = week.company.value("SELECT count(*) FROM account_transfers")
    assert (len(rows), int(about["transfers"])) == (count, count)
    assert about["filter"] == "from=2026-11-16, to=2026-11-22"
    assert surfaces.cents(about["income"]) == surfaces.page_sums(browser, FORM)["income"]
    assert "2026-11-16" in re.findall("filename=([^;]+)", file.headers["Content-Disposition"])[0]


def test_more_than_a_page_is_no_direct_file(
    week: Week, browser: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert week.company.value("SELECT count(*) FROM account_transfers") < PAGE_MAX
    monkeypatch.setattr("app.accounting.queries.PAGE_MAX", 10)
    assert browser.get("/report.csv?period=2026-11").status_code == 409
    assert 'action="/exports"' in browser.get("/report?period=2026-11").get_data(as_text=True)


def test_progress_survives_a_reload_and_a_dead_worker(
    week: Week, browser: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = browser.post("/exports", {**FORM, "format": "csv"}).location
    monkeypatch.setattr("app.accounting.queries.lines.CHUNK", 7)
    monkeypatch.setattr(exports, "PROGRESS_EVERY_S", 0)

    class Killed(BaseException):
        pass

    tell = exports._tell
    monkeypatch.setattr(exports, "_tell", _dies_after(tell, rows=30, error=Killed))
    with pytest.raises(Killed):
        week.company.call(commands.make_exports)
    [export] = week.company.rows(STATE)
    assert (export.state, export.attempts) == ("running", 1)
    assert 30 <= export.rows_done < export.rows_total
    assert f'value="{export.rows_done}"' in browser.get(url).get_data(as_text=True)
    assert week.company.call(commands.make_exports) == 0, "it is leased"
    monkeypatch.setattr(exports, "_tell", tell)
    week.company.rows("UPDATE exports SET leased_until = now() - interval '1 s' RETURNING id")
    assert week.company.call(commands.make_exports) == 1
    rows, _ = surfaces.csv_rows(browser.get(f"{url}/file").get_data())
    assert len(rows) == export.rows_total


def _dies_after(tell: Any, *, rows: int, error: type[BaseException]) -> Any:
    def told(lease: Any, done: int) -> bool:
        kept: bool = tell(lease, done)
        if done >= rows:
            raise error
        return kept

    return told


def test_one_that_nobody_takes_says_so(week: Week, browser: Any) -> None:
    url = browser.post("/exports", {**FORM, "format": "csv"}).location
    assert "longer than usual" not in browser.get(url).text
    week.company.rows("UPDATE exports SET requested_at = now() - interval '1 min' RETURNING id")
    assert "longer than usual" in browser.get(url).text
    assert week.company.call(commands.make_exports) == 1
    assert "longer than usual" not in browser.get(url).text
    assert "The file is ready." in browser.get(url, htmx=True).text


def test_one_that_cannot_be_written_fails_in_sight(
    week: Week, browser: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = browser.post("/exports", {**FORM, "format": "csv"}).location

    def full(*_: Any, **__: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(exports, "write_transfers", full)
    assert week.company.call(commands.make_exports) == 0
    [export] = week.company.rows(STATE)
    assert (export.state, export.attempts) == ("failed", 3)
    assert "No space left" in export.error
    page = browser.get(url)
    assert "could not be made" in page.text
    assert browser.get(f"{url}/file").status_code == 404
    asked = re.findall(
        'type="hidden" name="([^"]+)" value="([^"]*)"', page.text.split('id="export"')[1]
    )
    again = browser.post("/exports", {**dict(asked), "format": "csv"})
    assert again.location != url, "asked for again"
    assert [row.state for row in week.company.rows(STATE)] == ["queued", "failed"]


def test_an_export_is_its_asker_s_alone(week: Week, browser: Any, sign_in: Any) -> None:
    url = browser.post("/exports", {**FORM, "format": "csv"}).location
    week.company.call(commands.make_exports)
    other = sign_in(week.second)
    assert other.get(url).status_code == 404
    assert other.get(f"{url}/file").status_code == 404


def test_bad_exports_are_refused(week: Week, browser: Any) -> None:
    for bad in ({"format": "pdf"}, {"from": ""}, {"to": "2026-11-01"}, {"user_id": "x"}):
        assert browser.post("/exports", {**FORM, "format": "csv", **bad}).status_code == 422
    assert not week.company.rows(STATE)


def test_old_files_are_forgotten(week: Week, browser: Any) -> None:
    url = browser.post("/exports", {**FORM, "format": "csv"}).location
    week.company.call(commands.make_exports)
    week.company.rows("UPDATE exports SET finished_at = now() - interval '8 days' RETURNING id")
    week.company.call(commands.make_exports)
    assert browser.get(url).status_code == 404
    assert not list((week.company.settings.data_dir / "exports").glob(f"{url.rsplit('/')[-1]}.*"))
