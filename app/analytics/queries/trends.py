"""How the company's income and its employees' debts went over time. Amounts are minor units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy.orm import Session

from app.kernel import settings
from app.kernel.db import sql

COMPARED_DAYS = 7

# The income of each of the last days up to the same time of day as now, by the business's clock,
# and the day of the company's first transfer.
INCOME_BY_THIS_TIME = sql("""
WITH now AS MATERIALIZED (SELECT business_now() AT TIME ZONE :timezone AS local),
days AS MATERIALIZED (
  SELECT day::date AS day,
         (day + (now.local - date_trunc('day', now.local))) AT TIME ZONE :timezone AS until
  FROM now, generate_series(now.local::date - CAST(:days AS int), now.local::date, interval '1 day')
    AS days (day)
)
SELECT d.day, coalesce(moved.income, 0)::bigint AS income,
       (SELECT min(business_day) FROM ledger_days) AS first_day
FROM days d CROSS JOIN LATERAL (
  SELECT sum(CASE t.kind WHEN 'assign_fee' THEN t.amount
                         WHEN 'completion_reward' THEN -t.amount
                         WHEN 'payout' THEN 0
                         ELSE CASE (SELECT r.kind FROM account_transfers r
                                    WHERE r.id = t.reverses_id)
                              WHEN 'payout' THEN 0 ELSE -t.delta_balance END END)
         FILTER (WHERE t.timestamp <= d.until) AS income
  FROM account_transfers t WHERE t.business_day = d.day) AS moved
ORDER BY d.day
""")
# How many balances were below zero at the end of each day, and their sum. Of a closed day both were
# frozen; of the days that are not closed: the balances of now, less what the days after it moved.
NEGATIVE_TREND = sql("""
WITH days AS MATERIALIZED (
  SELECT days.day::date AS day, b.debtors, b.debts,
         days.day > coalesce((SELECT max(day) FROM business_days WHERE status = 'closed'),
                             (SELECT min(day) - 1 FROM business_days)) AS is_open
  FROM generate_series(CAST(:first AS timestamp), CAST(:last AS timestamp), interval '1 day')
    AS days (day)
  LEFT JOIN business_days b ON b.day = days.day AND b.status = 'closed'
), moved AS (
  SELECT a.id, days.day, a.balance, coalesce(d.delta, 0) AS delta
  FROM days CROSS JOIN accounts a
  LEFT JOIN account_days d ON d.account_id = a.id AND d.business_day = days.day
    AND d.business_day > coalesce((SELECT max(day) FROM business_days WHERE status = 'closed'),
                                  '-infinity')
  WHERE days.is_open AND a.kind = 'employee'
), later AS (
  SELECT account_id, sum(delta) AS delta FROM account_days
  WHERE business_day > :last AND EXISTS (SELECT FROM days WHERE is_open) GROUP BY account_id
), ends AS (
  SELECT m.day, m.balance - coalesce(l.delta, 0) - coalesce(sum(m.delta) OVER (
    PARTITION BY m.id ORDER BY m.day DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0)
    AS balance
  FROM moved m LEFT JOIN later l ON l.account_id = m.id
)
SELECT days.day, coalesce(days.debtors, o.people, 0) AS people,
       coalesce(days.debts, o.cents, 0)::bigint AS cents
FROM days
LEFT JOIN (SELECT day, count(*) AS people, sum(balance) AS cents FROM ends WHERE balance < 0
           GROUP BY day) AS o ON o.day = days.day
ORDER BY days.day
""")


@dataclass(frozen=True, slots=True)
class Comparison:
    """Today's income until now, yesterday's until the same time, and the average of the days."""

    today: int
    yesterday: int | None
    average: int | None
    days: int


def income_compared(session: Session) -> Comparison:
    """Today's income against the same time yesterday and the average of up to seven days.

    None where the company had no transfers yet.
    """
    names = {"timezone": settings.current().business_timezone, "days": COMPARED_DAYS}
    rows = session.execute(INCOME_BY_THIS_TIME, names).all()
    *past, today = rows
    first: date | None = today.first_day
    known = [row.income for row in past if first is not None and row.day >= first]
    return Comparison(
        today=today.income,
        yesterday=known[-1] if known else None,
        average=round(sum(known) / len(known)) if known else None,
        days=len(known),
    )


def negative_trend(session: Session, first: date, last: date) -> Sequence[Any]:
    """At the end of each day: how many `people` were below zero, and by how many `cents`."""
    return session.execute(NEGATIVE_TREND, {"first": first, "last": last}).all()
