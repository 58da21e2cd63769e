"""How the log and its consumers stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import TextClause
from sqlalchemy.orm import Session

from app.kernel.db import sql

# Each consumer's cursor, what waits beyond it (counted up to a bound), and for how long.
CONSUMERS = sql("""
SELECT c.consumer, c.epoch, c.xid::text AS xid, c.id, c.events, c.batches, c.last_batch_events,
       c.last_batch_ms, c.updated_at, w.waiting, w.oldest_age_s,
       (SELECT count(*) FROM dead_letters d WHERE d.consumer = c.consumer AND d.state = 'parked')
         AS parked
FROM outbox_cursors c
LEFT JOIN LATERAL (
  SELECT count(*) AS waiting,
    extract(epoch FROM business_now() - min(b.occurred_at)) AS oldest_age_s
  FROM (SELECT o.occurred_at FROM outbox o
        WHERE o.xid >= c.xid AND (o.xid, o.id) > (c.xid, c.id)
        ORDER BY o.xid, o.id LIMIT 10000) AS b) AS w ON true
ORDER BY c.consumer
""")
_EVENTS = """
SELECT o.xid::text AS xid, o.id, o.event_id, o.type, o.schema_version, o.task_id, o.user_id,
       u.login AS user_login, o.actor_id, o.occurred_at, o.payload, t.id AS transfer_id,
       t.kind, t.delta_balance, t.recorded_at
FROM outbox o
LEFT JOIN users u ON u.id = o.user_id
LEFT JOIN account_transfers t ON t.event_id = o.event_id
WHERE {conditions}
ORDER BY o.xid DESC, o.id DESC LIMIT :limit
"""
_BEFORE = "(o.xid, o.id) < (CAST(:before_xid AS xid8), CAST(:before_id AS bigint))"
_OF_TASK = "o.task_id = :task_id"
_OF_ID = "o.event_id = CAST(:event_id AS uuid)"
_OF_TYPE = "o.type = :type"
# The types that nearly all events are of; the others have the index of migration 0024.
FREQUENT = ("TaskCreated", "TaskAssigned", "TaskCompleted")
_IS_RARE = f"o.type NOT IN {FREQUENT}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which events to list: of a task, the one of an id, of a type; without any of them, all."""

    task_id: int | None = None
    event_id: UUID | None = None
    type: str | None = None


ALL = Wanted()


def consumers(session: Session) -> Sequence[Any]:
    """Each consumer's cursor, events waiting (at most 10,000 counted), their age, dead letters."""
    return session.execute(CONSUMERS).all()


def newest_events(
    session: Session,
    wanted: Wanted = ALL,
    *,
    before: tuple[str, int] | None = None,
    limit: int = 50,
) -> Sequence[Any]:
    """The newest of the events that are `wanted`, each with the transfer that it made."""
    xid, row_id = before or (None, None)
    names = {**asdict(wanted), "before_xid": xid, "before_id": row_id, "limit": limit}
    return session.execute(events_sql(wanted, is_first_page=before is None), names).all()


def events_sql(wanted: Wanted, *, is_first_page: bool) -> TextClause:
    """The statement that lists events; each has the conditions that it needs, and no others."""
    is_rare = wanted.type is not None and wanted.type not in FREQUENT
    conditions = {
        _OF_TASK: wanted.task_id is not None,
        _OF_ID: wanted.event_id is not None,
        _OF_TYPE: wanted.type is not None,
        _IS_RARE: is_rare,
        _BEFORE: not is_first_page,
    }
    needed = [condition for condition, is_needed in conditions.items() if is_needed]
    return sql(_EVENTS.format(conditions=" AND ".join(needed) or "true"))
