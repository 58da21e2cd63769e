"""Everybody's balance, a page at a time: the highest first, each once, and the sum of all."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from app.accounting.pages import report
from tests.reports.conftest import Week

ROW = re.compile(r'id="balance-(\d+)"')
MORE = re.compile(r'hx-get="(/balances[^"]*)"')


@pytest.fixture
def browser(week: Week, sign_in: Callable[..., Any]) -> Any:
    return sign_in(week.accountant)


def _highest_first(week: Week) -> list[int]:
    balances = week.company.balances()
    accounts = week.company.rows(
        "SELECT user_id FROM accounts WHERE kind = 'employee' ORDER BY id DESC"
    )
    return sorted((row.user_id for row in accounts), key=lambda user_id: -balances[user_id])


def test_pages_have_everybody_once(
    week: Week, browser: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "BALANCES_PAGE", 3)
    url, found, pages = "/balances", [], 0
    while True:
        page = browser.get(url, htmx=pages > 0).text
        assert ("<h1" in page) == (pages == 0), "further ones are rows alone"
        found += [int(user_id) for user_id in ROW.findall(page)]
        pages += 1
        if not (more := MORE.search(page)):
            break
        assert "Total" not in page
        url = more[1].replace("&amp;", "&")
    assert found == _highest_first(week)
    assert pages > 1
    assert "Total" in page


def test_beside_the_report_are_the_highest_and_the_sum_of_all(
    week: Week, browser: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "SHOWN_BALANCES", 2)
    page = browser.get("/report").text
    assert [int(user_id) for user_id in ROW.findall(page)] == _highest_first(week)[:2]
    total = sum(week.company.balances().values())
    assert re.search(rf"Total</th><td[^>]*>.*{abs(total) / 100:.2f}", page)
    people = re.search(r'<select[^>]*id="user_id".*?</select>', page, re.DOTALL)
    assert people
    assert people[0].count("<option") == 1 + len(_highest_first(week)), "everybody can be chosen"


@pytest.mark.parametrize("cursor", ["x", "1", "_", "1_x", "--1_2", "1_2_3", "9" * 40 + "_1"])
def test_what_is_no_cursor_is_said_so(browser: Any, cursor: str) -> None:
    answer = browser.get(f"/balances?cursor={cursor}")
    assert answer.status_code == 422
    assert "Not a cursor of this list" in answer.text
