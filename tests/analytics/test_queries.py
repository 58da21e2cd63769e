"""Analytics: today's income, negative balances, and the most expensive task with its ties."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from app.accounting.commands import pay_to_workers
from app.analytics import queries
from app.kernel.db import db
from app.kernel.errors import BadInput
from app.tasks import commands as tasks
from tests.accounting.board import charge, earn, event, make_tasks, post_batch
from tests.company import Company

# A Wednesday.
NOON = datetime(2026, 4, 15, 12, tzinfo=UTC)
TODAY = NOON.date()


def read(company: Company, query: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    return company.call(lambda: query(db.session(), *arguments, **options))


def test_today_s_income_is_fees_less_rewards_of_today_alone(
    company: Company, make_user: Callable
) -> None:
    user = make_user().id
    company.at(NOON)
    assert read(company, queries.today_income) == queries.Income(TODAY, 0, 0, 0)
    earn(company, user, NOON - timedelta(days=1))
    fees = -sum(charge(company, user, NOON) for _ in range(2))
    reward = earn(company, user, NOON)
    today = read(company, queries.today_income)
    assert today == queries.Income(TODAY, fees - reward, fees, reward)
    company.at(NOON + timedelta(days=1))
    assert read(company, queries.today_income).income == 0


def test_negative_balances_are_counted_and_paged_largest_debt_first(
    company: Company, make_user: Callable
) -> None:
    company.at(NOON)
    debtors = {user.id: charge(company, user.id, NOON) for user in (make_user() for _ in range(5))}
    earn(company, make_user().id, NOON)
    assert read(company, queries.negative_count) == 5
    seen, after = [], None
    while rows := read(company, queries.negative_balances, after=after, limit=2)[:2]:
        seen += rows
        after = (rows[-1].balance, rows[-1].id)
    assert {row.user_id: row.balance for row in seen} == debtors
    assert [row.balance for row in seen] == sorted(debtors.values())


@pytest.fixture
def finished(company: Company, make_user: Callable) -> dict[str, int]:
    """Tasks finished at these moments, and their rewards in minor units, by name."""
    boss = make_user("boss")
    table = {
        "last month": (NOON - timedelta(days=20), 4000),
        "this month": (datetime(2026, 4, 1, 0, tzinfo=UTC), 3900),
        "this week": (datetime(2026, 4, 13, 0, tzinfo=UTC), 3800),
        "yesterday": (NOON - timedelta(days=1), 3000),
        "today": (NOON - timedelta(hours=1), 2500),
        "today too": (NOON - timedelta(hours=2), 2500),
        "cheap today": (NOON - timedelta(hours=3), 2000),
        "open": (None, 4000),
    }
    ids = {}
    for name, (at, reward) in table.items():
        company.at(at or NOON)
        ids[name] = company.call(tasks.create_task, boss.actor, name=name).task_id
        company.rows(
            "INSERT INTO task_prices VALUES (:task_id, 1000, :reward) RETURNING 1",
            task_id=ids[name],
            reward=reward,
        )
        if at:
            company.call(tasks.complete_task, boss.actor, ids[name])
    company.at(NOON)
    company.post()
    return ids


def test_the_most_expensive_task_of_a_period_with_ties(
    company: Company, finished: dict[str, int]
) -> None:
    def names(first: date, last: date) -> list[str]:
        return [task.name for task in read(company, queries.most_expensive_tasks, first, last)]

    for period, expected in (
        ("day", ["today too", "today"]),
        ("week", ["this week"]),
        ("month", ["this month"]),
    ):
        assert names(*queries.period_until(TODAY, period)) == expected, period
    assert names(TODAY - timedelta(days=1), TODAY - timedelta(days=1)) == ["yesterday"]
    assert names(date(2026, 3, 1), TODAY) == ["last month"]
    assert names(TODAY + timedelta(days=1), TODAY + timedelta(days=9)) == []


def test_a_task_whose_reward_was_posted_late_is_of_the_day_it_was_finished_on(
    company: Company, make_user: Callable
) -> None:
    user = make_user().id
    yesterday = NOON - timedelta(days=1)
    dear, cheap = make_tasks(company, user, 2)
    for task_id, reward in ((dear, 4000), (cheap, 2000)):
        company.rows(
            "INSERT INTO task_prices VALUES (:id, 1000, :p) RETURNING 1", id=task_id, p=reward
        )
    company.at(NOON)
    post_batch(company, [event("completed", cheap, user, yesterday)])
    company.call(pay_to_workers, make_user("internalservice").actor)
    post_batch(company, [event("completed", dear, user, yesterday)])
    assert company.value("SELECT late FROM account_transfers WHERE task_id = :id", id=dear)
    for first, last, found in (
        (yesterday.date(), yesterday.date(), [dear]),
        (yesterday.date() - timedelta(days=5), TODAY, [dear]),
        (TODAY, TODAY, []),
    ):
        shown = read(company, queries.most_expensive_tasks, first, last)
        assert [task.id for task in shown] == found
        steps = read(company, queries.expensive_over_time, first, last, step="day")
        assert [(step.first, step.task_id) for step in steps] == [
            (yesterday.date(), task_id) for task_id in found
        ]


def test_periods_that_are_none_are_refused(company: Company) -> None:
    for first, last in ((TODAY, TODAY - timedelta(days=1)), (date(2000, 1, 1), TODAY)):
        with pytest.raises(BadInput) as refusal:
            read(company, queries.most_expensive_tasks, first, last)
        assert set(refusal.value.fields) == {"to"}


def test_weeks_begin_on_monday_and_months_on_their_first() -> None:
    for today, week, month in (
        (TODAY, date(2026, 4, 13), date(2026, 4, 1)),
        (date(2026, 4, 13), date(2026, 4, 13), date(2026, 4, 1)),
        (date(2026, 4, 19), date(2026, 4, 13), date(2026, 4, 1)),
        (date(2027, 1, 1), date(2026, 12, 28), date(2027, 1, 1)),
    ):
        assert queries.period_until(today, "day") == (today, today)
        assert queries.period_until(today, "week") == (week, today)
        assert queries.period_until(today, "month") == (month, today)
