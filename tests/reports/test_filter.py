"""One filter: tiles, chart, table, CSV, XLSX and API agree, for whatever it holds."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from typing import Any
from urllib.parse import urlencode

import pytest

from app.accounting.queries import Period, named_period
from app.kernel.errors import BadInput
from tests.reports import surfaces
from tests.reports.conftest import Week

WEEK = {"from": "2026-11-16", "to": "2026-11-22"}
DAY = {"from": "2026-11-18", "to": "2026-11-18"}
FILTERS: list[dict[str, Any]] = [
    WEEK,
    {"period": "2026-11"},
    {"period": "2026-W47"},
    {"period": "2026-Q4"},
    {"from": "2026-11-18", "to": "2026-11-18"},
    {**WEEK, "user_id": 2},
    {**WEEK, "kind": "assign_fee"},
    {**WEEK, "kind": "completion_reward"},
    {**WEEK, "kind": "payout"},
    {**WEEK, "kind": "reversal"},
    {**WEEK, "q": "bird"},
    {**WEEK, "q": "K-3 попугай"},
    {**WEEK, "q": "50%_"},
    {**WEEK, "q": "dev1"},
    {**WEEK, "user_id": 3, "kind": "assign_fee", "q": "="},
    {**WEEK, "q": "nothing of the kind"},
    {**WEEK, "kind": "completion_reward", "q": "bird"},
    {**WEEK, "kind": "payout", "q": "dev1"},
    {"period": "2026-Q4", "q": "bird"},
]


def reversed_kinds(week: Week) -> dict[int, str]:
    rows = week.company.rows(
        "SELECT t.id, r.kind::text FROM account_transfers t"
        " JOIN account_transfers r ON r.id = t.reverses_id"
    )
    return {row.id: row.kind for row in rows}


@pytest.fixture
def browser(week: Week, sign_in: Callable[..., Any]) -> Any:
    return sign_in(week.accountant)


def test_tiles_and_files_agree_for_every_filter(week: Week, browser: Any) -> None:
    kinds = reversed_kinds(week)
    for wanted in FILTERS:
        shown = surfaces.page_sums(browser, wanted)
        for name, read in (("csv", surfaces.csv_rows), ("xlsx", surfaces.xlsx_rows)):
            answer = browser.get(f"/report.{name}?{urlencode(wanted)}")
            assert answer.status_code == 200, wanted
            rows, about = read(answer.get_data())
            assert surfaces.sums_of_rows(rows, kinds) == shown, (name, wanted)
            assert surfaces.cents(about["income"]) == shown["income"]
            assert int(about["transfers"]) == len(rows)
            assert "to=2026-" in about["filter"]
            assert about["made"].startswith("2026-11-22 09:")
        if "from" in wanted and wanted["from"] != wanted["to"]:
            assert surfaces.chart_sum(browser, wanted) == shown["income"], wanted


def test_the_api_lists_the_same_transfers(week: Week, browser: Any, api: Any) -> None:
    listed, cursor = [], None
    while True:
        query = {**WEEK, "limit": 50, **({"cursor": cursor} if cursor else {})}
        page = api(week.accountant).get(f"/transfers?{urlencode(query)}").get_json()
        listed += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    rows, _ = surfaces.csv_rows(browser.get(f"/report.csv?{urlencode(WEEK)}").get_data())
    assert [(str(item["id"]), item["delta_balance"]) for item in listed] == [
        (row["id"], row["change"]) for row in rows
    ]


def test_days_lead_to_people_to_transfers_to_tasks_and_events(week: Week, browser: Any) -> None:
    def links(url: str, pattern: str) -> list[str]:
        html = browser.get(url).get_data(as_text=True)
        return [link.replace("&amp;", "&") for link in re.findall(f'href="({pattern})"', html)]

    wanted = {**WEEK, "kind": "assign_fee"}
    span = r"/report\?from=2026-11-18&amp;to=2026-11-18"
    day = links(surfaces.report_url(wanted), span + "&amp;kind=assign_fee")[0]
    person = links(
        day.replace("/report", "/report/sums"), span + "&amp;user_id=[0-9]+&amp;kind=assign_fee"
    )[0]
    transfer = links(person, r"/transfers/[0-9]+")[0]
    html = browser.get(transfer).get_data(as_text=True)
    event_id = week.company.value(
        "SELECT event_id::text FROM account_transfers WHERE id = :id", id=transfer.rsplit("/")[-1]
    )
    assert event_id in html
    back = person.replace("&kind=assign_fee", "").replace("&", "&amp;")
    assert back in html, "and back"
    tasks = links(transfer, r"/tasks/[0-9]+")
    assert tasks, "a fee or reward leads to its task"
    assert browser.get(tasks[0]).status_code == 200


def test_files_hold_no_live_formula(week: Week, browser: Any) -> None:
    rows, _ = surfaces.csv_rows(browser.get(f"/report.csv?{urlencode(WEEK)}").get_data())
    cells = [
        value for row in rows for name, value in row.items() if name in ("task", "description")
    ]
    assert any(cell.startswith("'=") for cell in cells)
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
    content = browser.get(f"/report.xlsx?{urlencode(WEEK)}").get_data()
    rows, _ = surfaces.xlsx_rows(content)  # fails on any formula
    assert any(row.get("task", "").startswith("=") for row in rows), "there it is plain text"


@pytest.mark.parametrize(
    "bad",
    [
        {"from": "2026-11-22", "to": "2026-11-16"},
        {"from": "1000-01-01"},
        {"from": "2026-02-30"},
        {"to": "9999-12-31"},
        {"period": "2026-W54"},
        {"period": "2026-13"},
        {"period": "soon"},
        {"period": "year-999"},
        {"kind": "gift"},
        {"user_id": "x"},
        {"user_id": "9" * 30},
        {"q": "x" * 101},
        {"cursor": "never"},
    ],
)
def test_a_bad_filter_is_told(week: Week, browser: Any, bad: dict[str, str]) -> None:
    assert browser.get(f"/report?{urlencode(bad)}").status_code == 422


def test_an_unknown_person_has_no_transfers_and_no_statement(week: Week, browser: Any) -> None:
    assert surfaces.page_sums(browser, {**WEEK, "user_id": 999})["fees"] == 0
    assert browser.get("/accounts/999").status_code == 404


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [
        ("2026", "2026-01-01", "2026-12-31"),
        ("2026-02", "2026-02-01", "2026-02-28"),
        ("2024-2", "2024-02-01", "2024-02-29"),
        ("2026-Q4", "2026-10-01", "2026-12-31"),
        ("2026-q1", "2026-01-01", "2026-03-31"),
        ("2026-W01", "2025-12-29", "2026-01-04"),
        ("2026-w53", "2026-12-28", "2027-01-03"),
        ("2026-11-20", "2026-11-20", "2026-11-20"),
        ("day", "2026-01-31", "2026-01-31"),
        ("day-31", "2025-12-31", "2025-12-31"),
        ("week", "2026-01-26", "2026-02-01"),
        ("week-1", "2026-01-19", "2026-01-25"),
        ("month", "2026-01-01", "2026-01-31"),
        ("month-1", "2025-12-01", "2025-12-31"),
        ("month-12", "2025-01-01", "2025-01-31"),
        ("quarter-1", "2025-10-01", "2025-12-31"),
        ("year-1", "2025-01-01", "2025-12-31"),
    ],
)
def test_periods_have_names(name: str, first: str, last: str) -> None:
    period = named_period(name, today=date(2026, 1, 31))
    assert period == Period(date.fromisoformat(first), date.fromisoformat(last))


@pytest.mark.parametrize(
    "name", ["2026-00", "2026-Q5", "26-1", "month+1", "month-", "٢٠٢٦", "0000"]
)
def test_other_names_are_none(name: str) -> None:
    with pytest.raises(BadInput):
        named_period(name, today=date(2026, 1, 31))


@pytest.mark.parametrize("wanted", [{**WEEK, "q": "bird"}, {**DAY, "kind": "assign_fee"}])
def test_sums_that_look_at_each_transfer_come_after_the_page(
    browser: Any, wanted: dict[str, str]
) -> None:
    page = browser.get(f"/report?{urlencode(wanted)}").get_data(as_text=True)
    url = re.findall(r'hx-get="([^"]+)" hx-trigger="load"', page)[0].replace("&amp;", "&")
    sums = browser.get(url, htmx=True).get_data(as_text=True)
    alone = browser.get(url).get_data(as_text=True)

    assert url.startswith("/report/sums?")
    assert surfaces.tiles(page) == {}
    assert 'id="transfer-' in page
    assert surfaces.tiles(sums) == surfaces.tiles(alone) != {}
    assert "hx-trigger" not in alone.partition('id="sums"')[2].partition("</form>")[0]
    places = re.findall(r'<hx-partial hx-target="#([a-z-]+)"', sums)
    assert places == [name for name in ("income", "days", "transfer-count") if name in places]
    assert ("income" in places) == (wanted["from"] != wanted["to"])
    for place in places:
        assert f'id="{place}"' in page
