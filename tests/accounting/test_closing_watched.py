"""A closing that takes long goes on in the worker, and its page says how far it is."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from werkzeug.test import TestResponse

from app.accounting.commands import closing, go_on_closing, pay_to_workers
from app.accounting.pages import days
from app.accounting.queries import days as day_queries
from app.kernel.actor import Actor
from tests.accounting.board import NOON, broken_ledger_rules, earn
from tests.company import Company

DAY = NOON.date()
URL = f"/payouts/{DAY}"
STATUS = "SELECT status::text FROM business_days"
ACTORS = "SELECT DISTINCT actor_id FROM outbox WHERE type IN ('PayoutMade', 'BusinessDayClosed')"
PEOPLE = 7


@pytest.fixture
def payer(make_user: Callable[..., Any]) -> Any:
    return make_user("accountant")


@pytest.fixture
def earned(company: Company, make_user: Callable[..., Any]) -> int:
    """What seven people have earned on a day that has ended."""
    total = sum(earn(company, make_user().id) for _ in range(PEOPLE))
    company.at(NOON + timedelta(days=1))
    return total


@pytest.fixture
def in_chunks_of_3(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a company of more than 20,000 people is."""
    pay_chunk = closing._pay_chunk

    def pay(actor: Actor, day: Any, *, chunk: int) -> int:
        return chunk if pay_chunk(actor, day, chunk=3) == 3 else 0

    monkeypatch.setattr(closing, "_pay_chunk", pay)
    monkeypatch.setattr(days, "PAY_FOR_S", 0.0)


def words(answer: TestResponse) -> str:
    return re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", answer.get_data(as_text=True)))


def test_a_closing_that_takes_long_is_handed_over_and_finished(
    company: Company, payer: Any, earned: int
) -> None:
    begun = company.call(pay_to_workers, payer.actor, chunk=3, pay_for_s=0)
    assert (begun.business_day, begun.paid_count, begun.is_closing) == (DAY, 3, True)
    assert company.value(STATUS) == "closing"
    assert company.call(go_on_closing) == 1
    assert company.value(STATUS) == "closed"
    assert company.value("SELECT sum(amount) FROM payouts") == earned
    assert [row.actor_id for row in company.rows(ACTORS)] == [payer.id], "for who began it"
    assert company.call(go_on_closing) == 0
    assert not broken_ledger_rules(company)


def test_one_that_was_not_handed_over_is_left_to_who_runs_it(
    company: Company, payer: Any, earned: int
) -> None:
    company.call(closing._wait_and_start_closing, DAY, 1.0)
    assert company.call(go_on_closing) == 0
    assert company.value(STATUS) == "closing"


def test_who_may_not_pay_any_more_does_not_pay_on(
    company: Company, payer: Any, earned: int
) -> None:
    company.call(pay_to_workers, payer.actor, chunk=3, pay_for_s=0)
    company.rows("UPDATE users SET role = 'developer' WHERE id = :id RETURNING id", id=payer.id)
    assert company.call(go_on_closing) == 0
    assert company.value("SELECT count(*) FROM payouts") == 3


def test_its_page_says_how_far_it_is_and_ends(
    company: Company,
    payer: Any,
    earned: int,
    in_chunks_of_3: None,
    sign_in: Callable[..., Any],
) -> None:
    browser = sign_in(payer)
    assert f"{PEOPLE} people" in words(browser.get("/close-day"))
    begun = browser.post("/payouts", {"business_day": str(DAY)})
    assert begun.location == URL
    page = browser.get(URL)
    assert "The day is closed." not in words(page)
    assert f"3 of {PEOPLE} paid" in words(page)
    assert 'value="3"' in page.text
    assert "Look again" in page.text
    assert "being closed already" in words(browser.get("/close-day"))
    fragment = browser.get(URL, htmx=True)
    assert f"3 of {PEOPLE} paid" in words(fragment)
    assert "HX-Redirect" not in fragment.headers
    assert browser.post("/payouts", {"business_day": str(DAY)}).location == URL, "go on"
    assert f"6 of {PEOPLE} paid" in words(browser.get(URL))
    company.call(go_on_closing)
    over = browser.get(URL, htmx=True)
    assert over.headers["HX-Redirect"] == URL
    page = browser.get(URL)
    assert "data-progress" not in page.text
    assert "Mails sent" in words(page)
    assert company.value("SELECT sum(amount) FROM payouts") == earned


def test_a_day_that_is_paid_in_time_is_closed_at_once(
    company: Company, payer: Any, earned: int, sign_in: Callable[..., Any]
) -> None:
    browser = sign_in(payer)
    browser.post("/payouts", {"business_day": str(DAY)})
    page = browser.get(URL)
    assert "The day is closed." in words(page)
    assert "data-progress" not in page.text


def test_the_preview_counts_everybody_and_shows_the_largest(
    company: Company,
    payer: Any,
    earned: int,
    sign_in: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(day_queries, "PREVIEW_ROWS", 2)
    page = words(sign_in(payer).get("/close-day"))
    assert f"Recipients {PEOPLE} people" in page
    assert "The 2 largest amounts" in page
    assert f"Total ${earned / 100:,.2f}" in page
