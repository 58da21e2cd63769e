"""Analytics over time: income compared, debts at each day's end, dear tasks, times, reshuffles."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask_babel import lazy_gettext
from sqlalchemy.exc import OperationalError

from app.accounting import queries as accounting
from app.accounting.commands import pay_to_workers
from app.accounting.queries import LedgerFilter, Period
from app.analytics import pages, queries
from app.kernel.db import db
from app.tasks import commands as tasks
from tests.accounting.board import charge, earn
from tests.company import Company

NOON = datetime(2026, 4, 15, 12, tzinfo=UTC)
TODAY = NOON.date()


def read(company: Company, query: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    return company.call(lambda: query(db.session(), *arguments, **options))


def test_today_is_compared_with_the_same_time_yesterday(
    company: Company, make_user: Callable
) -> None:
    user = make_user().id
    company.at(NOON)
    assert read(company, queries.income_compared) == queries.Comparison(0, None, None, 0)
    two_days_ago = -charge(company, user, NOON - timedelta(days=2))
    early = -charge(company, user, NOON - timedelta(days=1, hours=1))
    charge(company, user, NOON - timedelta(days=1) + timedelta(hours=1))
    now = -earn(company, user, NOON)
    compared = read(company, queries.income_compared)
    average = round((two_days_ago + early) / 2)
    assert compared == queries.Comparison(now, early, average, 2)


def test_debts_are_those_of_each_day_s_end(company: Company, make_user: Callable) -> None:
    first, second = make_user().id, make_user().id
    company.at(NOON)
    a = charge(company, first, NOON - timedelta(days=2))
    b = charge(company, second, NOON - timedelta(days=1))
    earned = earn(company, first, NOON)
    trend = read(company, queries.negative_trend, TODAY - timedelta(days=3), TODAY)
    left = min(a + earned, 0)
    assert [(row.people, row.cents) for row in trend] == [
        (0, 0),
        (1, a),
        (2, a + b),
        (1 + (left < 0), b + left),
    ]
    earlier = read(company, queries.negative_trend, TODAY - timedelta(days=2), TODAY - timedelta(1))
    assert [row.cents for row in earlier] == [a, a + b], "whatever came after"


def test_debts_of_closed_days_are_those_that_were_frozen(
    company: Company, make_user: Callable
) -> None:
    """The same as if every day were open, at each of them, and as the report says."""
    first, second, service = make_user().id, make_user().id, make_user("internalservice").actor
    company.at(NOON)
    for days_ago in (5, 4, 2):
        charge(company, first, NOON - timedelta(days=days_ago))
    earn(company, second, NOON - timedelta(days=4))
    charge(company, second, NOON - timedelta(days=3))
    earn(company, first, NOON - timedelta(days=3), tasks=2)
    span = (TODAY - timedelta(days=7), TODAY)
    opened = read(company, queries.negative_trend, *span)
    positions = [_positions(company, row.day) for row in opened]
    company.call(pay_to_workers, service)
    charge(company, second, NOON)
    frozen = read(company, queries.negative_trend, *span)
    ends = company.rows(BALANCES_AT_ENDS)
    for row in frozen:
        left = [end.balance for end in ends if end.day == row.day and end.balance < 0]
        assert (row.people, row.cents) == (len(left), sum(left)), row.day
        found = _positions(company, row.day)
        assert (found.debtors, found.debts) == (row.people, row.cents), row.day
        assert (found.liabilities, found.creditors) == (0, 0), "all days but today are closed"
    assert [(row.people, row.cents) for row in opened] == [
        (found.debtors, found.debts) for found in positions
    ]
    for user_id in (first, second):
        end = sum(row.delta for row in company.rows(DELTAS, id=user_id, day=TODAY - timedelta(3)))
        found = _positions(company, TODAY - timedelta(days=3), user_id)
        assert (found.debts, found.liabilities) == (min(end, 0), max(end, 0))


BALANCES_AT_ENDS = """
SELECT days.day::date AS day, a.id, coalesce(sum(d.delta), 0)::bigint AS balance
FROM generate_series('2026-04-01'::timestamp, '2026-04-30', '1 day') AS days (day)
CROSS JOIN accounts a
LEFT JOIN account_days d ON d.account_id = a.id AND d.business_day <= days.day
WHERE a.kind = 'employee' GROUP BY 1, 2
"""
DELTAS = """
SELECT d.delta FROM account_days d JOIN accounts a ON a.id = d.account_id
WHERE a.user_id = :id AND d.business_day <= :day
"""


def _positions(company: Company, day: Any, user_id: int | None = None) -> Any:
    wanted = LedgerFilter(period=Period(day, day), user_id=user_id)
    return read(company, accounting.positions, wanted)


def test_the_dearest_task_of_each_step_with_its_ties(company: Company, make_user: Callable) -> None:
    user = make_user("developer")
    prices = [2500, 3000, 3000, 2800]
    for number, price in enumerate(prices):
        company.at(NOON - timedelta(days=number // 2))
        task = company.call(tasks.create_task, user.actor, name=f"task {number}")
        company.rows(
            "INSERT INTO task_prices VALUES (:id, 1500, :price) RETURNING task_id",
            id=task.task_id,
            price=price,
        )
        company.call(tasks.complete_task, user.actor, task.task_id)
    company.at(NOON)
    company.post()
    span = (TODAY - timedelta(days=10), TODAY)
    days = read(company, queries.expensive_over_time, *span, step="day")
    assert [(row.first, row.cents, row.ties) for row in days] == [
        (TODAY, 3000, 1),
        (TODAY - timedelta(days=1), 3000, 1),
    ]
    [week] = read(company, queries.expensive_over_time, *span, step="week")
    assert (week.first, week.cents, week.ties) == (TODAY - timedelta(days=2), 3000, 2)


def test_times_to_finish_and_reshuffles(company: Company, make_user: Callable) -> None:
    user, manager = make_user("developer"), make_user("manager")
    company.at(NOON - timedelta(hours=4))
    slow = company.call(tasks.create_task, user.actor, name="slow").task_id
    company.call(tasks.reassign_tasks, manager.actor)
    company.at(NOON - timedelta(hours=2))
    quick = company.call(tasks.create_task, user.actor, name="quick").task_id
    company.at(NOON)
    for task_id in (slow, quick):
        company.call(tasks.complete_task, user.actor, task_id)
    company.call(tasks.create_task, user.actor, name="open")
    times = read(company, queries.finishing_times, TODAY, TODAY)
    assert (times.created, times.finished, times.open_now) == (3, 2, 1)
    assert (round(times.median_hours, 1), round(times.slow_hours, 1)) == (3.0, 3.8)
    most, least = read(company, queries.reshuffled, TODAY, TODAY, limit=1)
    assert (most[0].name, most[0].assignments) == ("slow", 2)
    assert least[0].assignments == 1


def every_part(browser: Any) -> str:
    """What htmx puts together of the page's parts."""
    answers = [browser.get(f"/analytics/{name}", htmx=True) for name in pages.PARTS]
    html = "".join(answer.get_data(as_text=True) for answer in answers)
    assert "<html" not in html
    assert "<html" in browser.get("/analytics/flow").get_data(as_text=True)
    return html


def test_a_part_that_fails_leaves_the_others(
    company: Company, make_user: Callable, sign_in: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    user, admin = make_user("developer"), sign_in(make_user("administrator"))
    company.at(NOON)
    earn(company, user.id, NOON - timedelta(days=1))
    company.call(pay_to_workers, make_user("internalservice").actor)
    html = admin.get("/analytics").get_data(as_text=True)
    assert "Income today" in html, "it comes with the page"
    assert 'hx-get="/analytics/flow?' in html
    assert 'href="/analytics/flow?' in html, "where there is no JavaScript"
    assert 'aria-current="true">30 days</a>' in html, "which it opens on"
    assert "could not be loaded" not in every_part(admin)

    def fails(_: Any) -> dict[str, Any]:
        raise OperationalError("SELECT 1", {}, Exception("cancelled"))

    monkeypatch.setitem(pages.PARTS, "negative", pages.Part(lazy_gettext("Income"), fails))
    html = every_part(admin)
    assert html.count("could not be loaded") == 1
    assert "Income today" in html
    assert "Reshuffled most" in html
    whole = admin.get("/analytics").get_data(as_text=True)
    assert whole.count("could not be loaded") == 1
    assert "Income today" in whole
    assert admin.get("/analytics/flow").status_code == 200
    for bad in ("/analytics/none", "/analytics?period=soon", "/analytics?step=year"):
        assert admin.get(bad).status_code in (404, 422)
    assert admin.get("/analytics?from=2020-01-01&to=2026-01-01").status_code == 422


def test_a_company_without_any_account_sees_its_page(make_user: Callable, sign_in: Any) -> None:
    html = every_part(sign_in(make_user("administrator")))
    assert "Nobody owes the company anything" in html
    assert "could not be loaded" not in html
