"""How the log and its consumers stand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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
EVENTS = sql("""
SELECT o.xid::text AS xid, o.id, o.event_id, o.type, o.schema_version, o.task_id, o.user_id,
       u.login AS user_login, o.actor_id, o.occurred_at, o.payload, t.id AS transfer_id,
       t.kind, t.delta_balance, t.recorded_at
FROM outbox o
LEFT JOIN users u ON u.id = o.user_id
LEFT JOIN account_transfers t ON t.event_id = o.event_id
WHERE CAST(:before_xid AS xid8) IS NULL
   OR (o.xid, o.id) < (CAST(:before_xid AS xid8), CAST(:before_id AS bigint))
ORDER BY o.xid DESC, o.id DESC LIMIT :limit
""")


def consumers(session: Session) -> Sequence[Any]:
    """Each consumer's cursor, events waiting (at most 10,000 counted), their age, dead letters."""
    return session.execute(CONSUMERS).all()


def newest_events(
    session: Session, *, before: tuple[str, int] | None = None, limit: int = 50
) -> Sequence[Any]:
    """The newest events of the log, each with the transfer that it made."""
    xid, event_id = before or (None, None)
    names = {"before_xid": xid, "before_id": event_id, "limit": limit}
    return session.execute(EVENTS, names).all()
