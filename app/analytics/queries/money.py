"""Reads of Analytics. Amounts are minor units; days are business days."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Literal

from sqlalchemy.orm import Session

from app.kernel import settings
from app.kernel.db import sql

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
    """The company's income of a business day: fees charged less rewards credited, and corrections.

    `corrections` are what reversals of fees and rewards brought the company, mostly below zero.
    """

    business_day: date
    income: int
    fees: int
    rewards: int

    @property
    def corrections(self) -> int:
        """What the income is above fees less rewards."""
        return self.income - self.fees + self.rewards


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


def income_by_day(session: Session, first: date, last: date) -> Sequence[Any]:
    """Income, fees and rewards of each business day, oldest first."""
    return session.execute(INCOME_BY_DAY, {"first": first, "last": last}).all()


def tasks_by_day(session: Session, first: date, last: date) -> Sequence[Any]:
    """How many tasks were created and finished on each business day, oldest first."""
    return session.execute(TASKS_BY_DAY, {**_timezone(), "first": first, "last": last}).all()


def _timezone() -> dict[str, str]:
    return {"timezone": settings.current().business_timezone}
