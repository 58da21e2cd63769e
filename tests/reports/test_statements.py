"""A statement: opening, lines with a running balance, closing; as page, CSV and XLSX."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.reports import surfaces
from tests.reports.conftest import Week

PERIODS = [
    {"period": "2026-W47"},
    {"from": "2026-11-18", "to": "2026-11-20"},
    {"from": "2026-11-20", "to": "2026-11-20"},
    {"period": "2026-Q4"},
    {"period": "2026-10"},
]


@pytest.fixture
def browser(week: Week, sign_in: Callable[..., Any]) -> Any:
    return sign_in(week.accountant)


@pytest.mark.parametrize("period", PERIODS)
def test_opening_lines_and_closing_agree_on_page_and_in_files(
    week: Week, browser: Any, period: dict[str, str]
) -> None:
    for person in week.people:
        url = f"/accounts/{person.id}"
        shown = surfaces.tiles(browser.get(f"{url}?{urlencode(period)}").get_data(as_text=True))
        opening, closing = shown["Opening balance"], shown["Closing balance"]
        for name, read in (("csv", surfaces.csv_rows), ("xlsx", surfaces.xlsx_rows)):
            answer = browser.get(f"{url}/statement.{name}?{urlencode(period)}")
            rows, about = read(answer.get_data())
            balance = opening
            for row in reversed(rows):
                balance += round(Decimal(row["change"]) * 100)
                assert round(Decimal(row["balance"]) * 100) == balance
            assert balance == closing
            assert surfaces.cents(about["opening"]) == opening
            assert surfaces.cents(about["closing"]) == closing


def test_one_s_own_statement_is_the_same(week: Week, sign_in: Any, browser: Any) -> None:
    person = week.people[0]
    own = sign_in(person)
    for suffix, path in (("csv", "statement.csv"), ("xlsx", "statement.xlsx")):
        mine = own.get(f"/account.{suffix}?period=2026-11").get_data()
        theirs = browser.get(f"/accounts/{person.id}/{path}?period=2026-11").get_data()
        read = surfaces.csv_rows if suffix == "csv" else surfaces.xlsx_rows
        assert read(mine) == read(theirs)
    assert own.get(f"/accounts/{person.id}").status_code == 403
