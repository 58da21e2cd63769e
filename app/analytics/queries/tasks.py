"""Tasks: how long they take, how often they change hands."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

from sqlalchemy.orm import Session

from app.kernel import settings
from app.kernel.db import sql

_FINISHED = """t.is_finished
  AND t.finished_at >= CAST(:first AS date)::timestamp AT TIME ZONE :timezone
  AND t.finished_at < (CAST(:last AS date) + 1)::timestamp AT TIME ZONE :timezone"""
_CREATED = """t.created_at >= CAST(:first AS date)::timestamp AT TIME ZONE :timezone
  AND t.created_at < (CAST(:last AS date) + 1)::timestamp AT TIME ZONE :timezone"""
# How many tasks were created and finished, and how long the finished ones took, in hours.
FINISHING_TIMES = sql(f"""
SELECT (SELECT count(*) FROM tasks t WHERE {_CREATED}) AS created, finished,
       (SELECT count(*) FROM tasks t WHERE NOT t.is_finished) AS open_now,
       extract(epoch FROM took[1])::float / 3600 AS median_hours,
       extract(epoch FROM took[2])::float / 3600 AS slow_hours
FROM (SELECT count(*) AS finished, percentile_cont(ARRAY[0.5, 0.9])
        WITHIN GROUP (ORDER BY t.finished_at - t.created_at) AS took
      FROM tasks t WHERE {_FINISHED}) AS done
""")
# What happened to tasks since the end of a day.
TASKS_AFTER = sql("""
SELECT (SELECT count(*) FROM tasks t WHERE t.created_at >= day.ends) AS created,
       (SELECT count(*) FROM tasks t WHERE t.is_finished AND t.finished_at >= day.ends) AS finished
FROM (SELECT (CAST(:last AS date) + 1)::timestamp AT TIME ZONE :timezone AS ends) AS day
""")
# The few are found before anything is joined to them.
_SHUFFLED = f"""
SELECT t.id, t.ticket_key, t.name, t.assignments, t.is_finished, t.assigned_to, u.login,
       t.assignments * p.assign_price AS fees
FROM (SELECT * FROM tasks t WHERE {_CREATED} ORDER BY {{order}} LIMIT :limit) AS t
JOIN users u ON u.id = t.assigned_to LEFT JOIN task_prices p ON p.task_id = t.id ORDER BY {{order}}
"""
MOST_SHUFFLED = sql(_SHUFFLED.format(order="t.assignments DESC, t.id DESC"))
LEAST_SHUFFLED = sql(_SHUFFLED.format(order="t.assignments, t.id"))


def finishing_times(session: Session, first: date, last: date) -> Any:
    """Tasks `created`, `finished`, `open_now`; `median_hours` and `slow_hours` (nine of ten)."""
    return session.execute(FINISHING_TIMES, _names(first, last)).one()


def tasks_after(session: Session, last: date) -> Any:
    """How many tasks were `created` and `finished` after the day `last`."""
    return session.execute(TASKS_AFTER, _names(last, last)).one()


def reshuffled(
    session: Session, first: date, last: date, *, limit: int = 10
) -> tuple[Sequence[Any], Sequence[Any]]:
    """Of the tasks created in the period those assigned most often, and those least often."""
    names = {**_names(first, last), "limit": limit}
    return session.execute(MOST_SHUFFLED, names).all(), session.execute(LEAST_SHUFFLED, names).all()


def _names(first: date, last: date) -> dict[str, Any]:
    return {"first": first, "last": last, "timezone": settings.current().business_timezone}
