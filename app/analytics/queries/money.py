"""Reads of Analytics. Amounts are minor units; days are business days."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Literal

from sqlalchemy.orm import Session

from app.kernel import settings
from app.kernel.db import sql
from app.kernel.errors import BadInput

MAX_DAYS = 366 * 10
TIES = 50

TODAY_INCOME = sql("""
SELECT today.day AS business_day, coalesce(l.income, 0) AS income, coalesce(l.fees, 0) AS fees,
       coalesce(l.rewards, 0) AS rewards
FROM (SELECT (business_now() AT TIME ZONE :timezone)::date AS day) AS today
LEFT JOIN ledger_days l ON l.business_day = today.day
""")
NEGATIVE_COUNT = sql("SELECT count(*) FROM accounts WHERE balance < 0")
BALANCE_SUMS = sql("""
SELECT count(*) AS accounts, count(*) FILTER (WHERE balance < 0) AS negative,
       coalesce(sum(balance) FILTER (WHERE balance < 0), 0)::bigint AS negative_sum
FROM accounts WHERE kind = 'employee'
""")
NEGATIVE_BALANCES = sql("""
SELECT a.id, a.user_id, u.login, a.balance FROM accounts a JOIN users u ON u.id = a.user_id
WHERE a.balance < 0 AND (CAST(:after_balance AS bigint) IS NULL
      OR (a.balance, a.id) > (CAST(:after_balance AS bigint), CAST(:after_id AS bigint)))
ORDER BY a.balance, a.id LIMIT :limit
""")
# The highest reward among the tasks finished in a period of business days, with ties.
MOST_EXPENSIVE = sql("""
WITH finished AS MATERIALIZED (
  SELECT t.id, t.ticket_key, t.name, t.assigned_to, t.finished_at, p.complete_price
  FROM tasks t JOIN task_prices p ON p.task_id = t.id
  WHERE t.is_finished AND t.finished_at >= CAST(:first AS date)::timestamp AT TIME ZONE :timezone
    AND t.finished_at < (CAST(:last AS date) + 1)::timestamp AT TIME ZONE :timezone
)
SELECT f.id, f.ticket_key, f.name, f.assigned_to, u.login AS assignee_login, f.finished_at,
       f.complete_price
FROM finished f JOIN users u ON u.id = f.assigned_to
WHERE f.complete_price = (SELECT max(complete_price) FROM finished)
ORDER BY f.finished_at, f.id LIMIT :limit
""")
INCOME_BY_DAY = sql("""
SELECT day::date AS business_day, coalesce(l.income, 0) AS income, coalesce(l.fees, 0) AS fees,
       coalesce(l.rewards, 0) AS rewards
FROM generate_series(CAST(:first AS timestamp), CAST(:last AS timestamp), interval '1 day')
       AS days (day)
LEFT JOIN ledger_days l ON l.business_day = days.day ORDER BY days.day
""")
TASKS_BY_DAY = sql("""
SELECT day::date AS business_day,
       (SELECT count(*) FROM tasks t WHERE t.created_at >= day AT TIME ZONE :timezone
          AND t.created_at < (day + interval '1 day') AT TIME ZONE :timezone) AS created,
       (SELECT count(*) FROM tasks t WHERE t.is_finished
          AND t.finished_at >= day AT TIME ZONE :timezone
          AND t.finished_at < (day + interval '1 day') AT TIME ZONE :timezone) AS finished
FROM generate_series(CAST(:first AS timestamp), CAST(:last AS timestamp), interval '1 day')
       AS days (day) ORDER BY day
""")

PeriodName = Literal["day", "week", "month"]


@dataclass(frozen=True, slots=True)
class Income:
    """The company's income of a business day: fees charged less rewards credited."""

    business_day: date
    income: int
    fees: int
    rewards: int


@dataclass(frozen=True, slots=True)
class ExpensiveTask:
    """A finished task whose reward was the highest of its period."""

    id: int
    ticket_key: str | None
    name: str
    assigned_to: int
    assignee_login: str
    finished_at: datetime
    complete_price: int


def today_income(session: Session) -> Income:
    """The company's income of the business day that goes on."""
    return Income(*session.execute(TODAY_INCOME, _timezone()).one())


def negative_count(session: Session) -> int:
    """How many employees' balances are below zero now."""
    return int(session.execute(NEGATIVE_COUNT).scalar_one())


def balance_sums(session: Session) -> Any:
    """How many `accounts` employees have, how many are `negative`, and `negative_sum`."""
    return session.execute(BALANCE_SUMS).one()


def negative_balances(
    session: Session, *, after: tuple[int, int] | None = None, limit: int = 50
) -> Sequence[Any]:
    """Balances below zero, largest debt first, `limit` + 1; `after` is (balance, account id)."""
    balance, account_id = after or (None, None)
    names = {"after_balance": balance, "after_id": account_id, "limit": limit + 1}
    return session.execute(NEGATIVE_BALANCES, names).all()


def period_until(today: date, name: PeriodName) -> tuple[date, date]:
    """The business day `today`, its ISO week (from Monday) or its calendar month, up to it."""
    if name == "day":
        return today, today
    if name == "week":
        return today - timedelta(days=today.weekday()), today
    return today.replace(day=1), today


def most_expensive_tasks(session: Session, first: date, last: date) -> list[ExpensiveTask]:
    """The tasks with the highest reward among those finished from `first` to `last`, with ties.

    Raises BadInput for a period that ends before it begins, or is longer than ten years.
    """
    if first > last:
        raise BadInput(fields={"to": "The period ends before it begins"})
    if (last - first).days > MAX_DAYS:
        raise BadInput(fields={"to": "At most ten years at a time"})
    names = {**_timezone(), "first": first, "last": last, "limit": TIES}
    return [ExpensiveTask(*row) for row in session.execute(MOST_EXPENSIVE, names)]


def income_by_day(session: Session, first: date, last: date) -> Sequence[Any]:
    """Income, fees and rewards of each business day, oldest first."""
    return session.execute(INCOME_BY_DAY, {"first": first, "last": last}).all()


def tasks_by_day(session: Session, first: date, last: date) -> Sequence[Any]:
    """How many tasks were created and finished on each business day, oldest first."""
    return session.execute(TASKS_BY_DAY, {**_timezone(), "first": first, "last": last}).all()


def _timezone() -> dict[str, str]:
    return {"timezone": settings.current().business_timezone}
