"""REST: balances, transfers, and the closing of a day."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from tests.accounting.board import NOON, charge, earn, event, make_tasks, post_batch
from tests.api.answers import money, pages
from tests.company import Company

DAY, NEXT = NOON.date().isoformat(), (NOON + timedelta(days=1)).date().isoformat()
TRANSFER_FIELDS = {
    "id",
    "timestamp",
    "delta_balance",
    "balance_after",
    "kind",
    "description",
    "task_id",
    "event_id",
}


def test_a_balance_says_what_today_brought(
    company: Company, make_user: Callable, api: Callable
) -> None:
    user = make_user()
    company.at(NOON)
    empty = api(user).get("/me/balance").json
    assert empty.keys() == {"balance", "currency", "earned_today", "as_of"}
    assert (empty["balance"], empty["currency"], empty["earned_today"]) == ("0.00", "USD", "0.00")
    before = charge(company, user.id, NOON - timedelta(days=1))
    today = earn(company, user.id, NOON) + charge(company, user.id, NOON)
    now = api(user).get("/me/balance").json
    assert now["balance"] == money(before + today)
    assert now["earned_today"] == money(today)
    as_of = datetime.fromisoformat(now["as_of"])
    assert timedelta() <= as_of - NOON < timedelta(minutes=1)


@pytest.fixture
def paid(company: Company, make_user: Callable, api: Callable) -> tuple[Any, Any]:
    """Two employees with transfers on two days, of which the first was closed on the second."""
    mine, other, accountant = make_user(), make_user(), make_user("accountant")
    for at in (NOON, NOON + timedelta(days=1)):
        company.at(at)
        for user in (mine, other):
            earn(company, user.id, at, tasks=2)
            charge(company, user.id, at)
    assert api(accountant).post("/payouts").status_code == 201
    return mine, other


def test_one_s_own_transfers_are_listed_newest_first(
    company: Company, paid: tuple[Any, Any], api: Callable
) -> None:
    mine, other = paid
    items = pages(api(mine), "/me/transfers?limit=3")
    assert all(item.keys() == TRANSFER_FIELDS for item in items)
    assert [item["kind"] for item in items] == [
        "assign_fee",
        "completion_reward",
        "completion_reward",
        "payout",
        "assign_fee",
        "completion_reward",
        "completion_reward",
    ]
    balance = Decimal(0)
    for item in reversed(items):
        balance += Decimal(item["delta_balance"])
        assert Decimal(item["balance_after"]) == balance
        assert UUID(item["event_id"])
        assert datetime.fromisoformat(item["timestamp"]).tzinfo is not None
        assert (item["task_id"] is None) == (item["kind"] == "payout")
    assert items[3]["description"] == f"Balance of {DAY}"
    assert items[0]["description"] == "task 1"
    assert str(balance) == api(mine).get("/me/balance").json["balance"]
    others = {item["id"] for item in pages(api(other), "/me/transfers?limit=200")}
    assert not others & {item["id"] for item in items}
    assert len(others) == 7


def test_periods_of_business_days_include_both_ends(paid: tuple[Any, Any], api: Callable) -> None:
    caller = api(paid[0])

    def count(query: str) -> int:
        return len(caller.get(f"/me/transfers?{query}").json["items"])

    assert count(f"from={DAY}&to={DAY}") == 4
    assert count(f"from={NEXT}&to={NEXT}") == 3
    assert count(f"from={DAY}&to={NEXT}") == count("") == count(f"from={DAY}") == 7
    assert count(f"to={DAY}") == 4
    assert count("from=2026-03-09") == count("to=2026-03-01") == 0
    assert count("from=2030-01-01") == count("to=2000-01-01") == 0


def test_an_accountant_sees_everyone_s_transfers_and_both_times_of_a_late_one(
    company: Company, paid: tuple[Any, Any], make_user: Callable, api: Callable
) -> None:
    mine, _ = paid
    caller = api(make_user("accountant"))
    items = pages(caller, "/transfers?limit=4")
    more = {"user_id", "login", "business_day", "recorded_at", "late"}
    assert all(item.keys() == TRANSFER_FIELDS | more for item in items)
    assert len({item["id"] for item in items}) == len(items) == 14
    own = caller.get(f"/transfers?user_id={mine.id}").json["items"]
    assert [item["id"] for item in own] == [
        item["id"] for item in items if item["user_id"] == mine.id
    ]
    assert caller.get(f"/transfers?user_id={10**17}").json["items"] == []
    [task] = make_tasks(company, mine.id)
    post_batch(company, [event("created", task, mine.id, NOON)])
    [late] = [item for item in caller.get("/transfers").json["items"] if item["late"]]
    assert late["business_day"] == NEXT
    assert datetime.fromisoformat(late["timestamp"]) == NOON
    assert datetime.fromisoformat(late["recorded_at"]) > NOON + timedelta(days=1)


def test_pages_show_every_transfer_once_while_transfers_are_added(
    company: Company, paid: tuple[Any, Any], make_user: Callable, api: Callable
) -> None:
    mine, _ = paid
    accountant = make_user("accountant")
    at = NOON + timedelta(days=1)
    for who, url in ((accountant, "/transfers?limit=3"), (mine, "/me/transfers?limit=2")):
        before = [item["id"] for item in pages(api(who), url)]
        seen = [item["id"] for item in pages(api(who), url, lambda: charge(company, mine.id, at))]
        assert seen == before


def test_closing_a_day_pays_once_and_says_whether_it_was_closed(
    company: Company, make_user: Callable, api: Callable
) -> None:
    earned = earn(company, make_user().id)
    company.at(NOON + timedelta(days=1))
    caller = api(make_user("internalservice"))
    run = {
        "business_day": DAY,
        "paid_count": 1,
        "paid_total": money(earned),
        "currency": "USD",
        "already_closed": False,
    }
    first = caller.post("/payouts", key="yesterday")
    assert (first.status_code, first.json) == (201, run)
    replayed = caller.post("/payouts", key="yesterday")
    assert (replayed.status_code, replayed.json) == (201, run)
    assert replayed.headers["Idempotency-Replayed"] == "true"
    other_body = caller.post("/payouts", {"business_day": DAY}, key="yesterday")
    assert other_body.status_code == 422
    for body in (None, {}, {"business_day": DAY}):
        again = caller.post("/payouts", body)
        assert (again.status_code, again.json) == (200, {**run, "already_closed": True})
    accountant = api(make_user("accountant")).post("/payouts", key="yesterday")
    assert accountant.status_code == 200  # another's key is another key
    assert company.value("SELECT count(*) FROM payouts") == 1


def test_a_day_that_cannot_be_closed_is_a_conflict_and_keeps_no_answer(
    company: Company, make_user: Callable, api: Callable
) -> None:
    earn(company, make_user().id)
    company.at(NOON)
    caller = api(make_user("accountant"))
    for day in (DAY, NEXT, "9999-12-31", "2000-01-01", "0001-01-01"):
        answer = caller.post("/payouts", {"business_day": day}, key=f"day {day}".replace(" ", "-"))
        assert answer.status_code == 409, day
        assert day in answer.json["detail"]
    assert {row.status for row in company.rows("SELECT status FROM business_days")} == {"open"}
    company.at(NOON + timedelta(days=1))
    assert caller.post("/payouts", {"business_day": DAY}, key=f"day-{DAY}").status_code == 201
