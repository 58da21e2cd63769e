"""The most expensive tasks: of a period, and of each day, week or month.

By the rewards in the ledger, whose index knows the highest of each business day: a period of years
is one look a day. A transfer's business day is the day of its task's end, but for the few that are
late. Amounts are minor units.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from sqlalchemy.orm import Session

from app.kernel import settings
from app.kernel.db import sql
from app.kernel.errors import BadInput

MAX_DAYS = 366 * 10
TIES = 50
STEPS_SHOWN = 60

Step = Literal["day", "week", "month"]

# The highest reward of each day, and every late one by the day on which its task was finished.
_BEST = """
days AS MATERIALIZED (
  SELECT day::date AS day
  FROM generate_series(CAST(:first AS timestamp), CAST(:last AS timestamp), interval '1 day')
    AS days (day)
), best AS MATERIALIZED (
  SELECT d.day, top.amount FROM days d CROSS JOIN LATERAL (
    SELECT t.amount FROM account_transfers t
    WHERE t.kind = 'completion_reward' AND NOT t.late AND t.business_day = d.day
    ORDER BY t.amount DESC LIMIT 1) AS top
), late AS MATERIALIZED (
  SELECT (t.timestamp AT TIME ZONE :timezone)::date AS day, t.amount, t.task_id, t.timestamp
  FROM account_transfers t
  WHERE t.late AND t.kind = 'completion_reward' AND t.business_day > :first
    AND t.timestamp >= CAST(:first AS date)::timestamp AT TIME ZONE :timezone
    AND t.timestamp < (CAST(:last AS date) + 1)::timestamp AT TIME ZONE :timezone
)"""
MOST_EXPENSIVE = sql(f"""
WITH {_BEST}, top AS MATERIALIZED (
  SELECT max(amount) AS amount FROM (SELECT amount FROM best UNION ALL SELECT amount FROM late)
    AS each
), winners AS (
  SELECT t.task_id, t.timestamp, t.amount FROM top JOIN best b ON b.amount = top.amount
  JOIN account_transfers t ON t.kind = 'completion_reward' AND NOT t.late
    AND t.business_day = b.day AND t.amount = b.amount
  UNION ALL
  SELECT l.task_id, l.timestamp, l.amount FROM top JOIN late l ON l.amount = top.amount
)
SELECT k.id, k.ticket_key, k.name, k.assigned_to, u.login AS assignee_login,
       w.timestamp AS finished_at, w.amount AS complete_price
FROM winners w JOIN tasks k ON k.id = w.task_id JOIN users u ON u.id = k.assigned_to
ORDER BY w.timestamp, k.id LIMIT :limit
""")
# Of each day, week or month: the highest reward, one task that earned it, and how many did.
DEAR_STEPS = sql(f"""
WITH {_BEST}, steps AS MATERIALIZED (
  SELECT date_trunc(:step, day::timestamp)::date AS step, max(amount) AS amount
  FROM (SELECT day, amount FROM best UNION ALL SELECT day, amount FROM late) AS each
  GROUP BY 1 ORDER BY 1 DESC LIMIT :limit
), winners AS (
  SELECT s.step, s.amount, t.task_id
  FROM steps s JOIN best b
    ON date_trunc(:step, b.day::timestamp)::date = s.step AND b.amount = s.amount
  JOIN account_transfers t ON t.kind = 'completion_reward' AND NOT t.late
    AND t.business_day = b.day AND t.amount = b.amount
  UNION ALL
  SELECT s.step, s.amount, l.task_id FROM steps s JOIN late l
    ON date_trunc(:step, l.day::timestamp)::date = s.step AND l.amount = s.amount
), first AS (
  SELECT step, amount, min(task_id) AS task_id, count(*) AS ties FROM winners GROUP BY 1, 2
)
SELECT f.step, f.amount, k.id, k.name, k.assigned_to, u.login, f.ties
FROM first f JOIN tasks k ON k.id = f.task_id JOIN users u ON u.id = k.assigned_to
ORDER BY f.step DESC
""")


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


@dataclass(frozen=True, slots=True)
class DearStep:
    """The highest reward of a day, week or month that begins on `first`, and a task that had it."""

    first: date
    cents: int
    task_id: int
    name: str
    person_id: int
    login: str
    ties: int


def most_expensive_tasks(session: Session, first: date, last: date) -> list[ExpensiveTask]:
    """The tasks with the highest reward among those finished from `first` to `last`, with ties.

    Raises BadInput for a period that ends before it begins, or is longer than ten years.
    """
    if first > last:
        raise BadInput(fields={"to": "The period ends before it begins"})
    if (last - first).days > MAX_DAYS:
        raise BadInput(fields={"to": "At most ten years at a time"})
    names = {**_names(first, last), "limit": TIES}
    return [ExpensiveTask(*row) for row in session.execute(MOST_EXPENSIVE, names)]


def expensive_over_time(session: Session, first: date, last: date, *, step: Step) -> list[DearStep]:
    """The highest reward of each day, ISO week or month with a finished task, newest first."""
    names = {**_names(first, last), "step": step, "limit": STEPS_SHOWN}
    return [DearStep(*row) for row in session.execute(DEAR_STEPS, names)]


def _names(first: date, last: date) -> dict[str, object]:
    return {"first": first, "last": last, "timezone": settings.current().business_timezone}
