"""The log's partitions: made ahead by the schedule, and which of them may be archived.

A partition may be archived when everybody has read all of it, its newest event is older than what
the company keeps at hand, no event of it is parked as a dead letter, and the money is in order.
Partitions go in order, so that what is archived is one piece, the oldest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from psycopg import errors as pg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from app.kernel.db import command, sql

log = structlog.get_logger(__name__)

# Makes the next partition when it is time: a function of migration 0019, which runs as the owner.
MAKE = sql("SELECT make_outbox_partition()")
# Every range of the log in order, and why it is kept: `reader` is the slowest that has not read
# all of it, a consumer without a cursor has read nothing, and the guardian is a reader too.
PARTITIONS = """
WITH readers AS MATERIALIZED (
  SELECT consumer AS reader, xid FROM outbox_cursors
  UNION ALL
  SELECT n.consumer, '0' FROM unnest(CAST({consumers} AS text[])) AS n (consumer)
  WHERE NOT EXISTS (SELECT FROM outbox_cursors c WHERE c.consumer = n.consumer)
  UNION ALL SELECT 'guardian', events_xid FROM guardian_rounds WHERE scope = 'increment'
)
SELECT p.name, p.xid_from::text, p.xid_to::text, p.archived_at, p.file, p.events,
       p.first_at, coalesce(p.last_at, newest.occurred_at) AS last_at,
       (SELECT r.reader FROM readers r WHERE r.xid < p.xid_to ORDER BY r.xid LIMIT 1) AS reader,
       coalesce(newest.occurred_at, p.made_at) > business_now() - make_interval(days => {keep_days})
         AS is_young,
       EXISTS (SELECT FROM dead_letters d WHERE d.state = 'parked'
               AND d.xid >= p.xid_from AND d.xid < p.xid_to) AS has_parked,
       (SELECT status <> 'running' FROM system_state)
         OR EXISTS (SELECT FROM guardian_findings WHERE resolved_at IS NULL AND is_money)
         AS is_in_doubt
FROM outbox_partitions p
LEFT JOIN LATERAL (
  SELECT o.occurred_at FROM outbox o WHERE o.xid >= p.xid_from AND o.xid < p.xid_to
  ORDER BY o.xid DESC, o.id DESC LIMIT 1) AS newest ON p.archived_at IS NULL
ORDER BY p.xid_from
"""
_LIST = sql(PARTITIONS.format(consumers=":consumers", keep_days="CAST(:keep_days AS int)"))


@dataclass(frozen=True, slots=True)
class Partition:
    """A range of the log, `xid_to` excluded: in a partition, or in the file of an archive.

    `first_at` and `events` are known of an archive; `last_at` is when the newest event occurred.
    """

    name: str
    xid_from: str
    xid_to: str
    archived_at: datetime | None
    file: str | None
    events: int | None
    first_at: datetime | None
    last_at: datetime | None
    reader: str | None
    is_young: bool
    has_parked: bool
    is_in_doubt: bool

    @property
    def kept_because(self) -> str | None:
        """Why the partition may not be archived; None when it may."""
        if self.reader is not None:
            return f"{self.reader} has not read all of it"
        if self.is_young:
            return "it is younger than OUTBOX_KEEP_DAYS"
        if self.has_parked:
            return "an event of it is parked as a dead letter"
        if self.is_in_doubt:
            return "changes are stopped, or the guardian found something about money"
        return None


def partitions(session: Session, *, consumers: Sequence[str], keep_days: int) -> list[Partition]:
    """Every range of the log, oldest first, whether archived, used, or made ahead."""
    names: dict[str, Any] = {"consumers": list(consumers), "keep_days": keep_days}
    return [Partition(*row) for row in session.execute(_LIST, names)]


def first_due(found: Sequence[Partition]) -> Partition | None:
    """The oldest partition that is in the log still, if it may be archived."""
    oldest = next((each for each in found if each.archived_at is None), None)
    return oldest if oldest is not None and oldest.kept_because is None else None


def make_ahead() -> str | None:
    """Make the next partition if it is time; returns its name. Repeated by the schedule.

    Where somebody holds a lock on the log for longer than a moment, the next tick does it: a whole
    partition is ahead, and what is written past it is kept all the same.
    """
    try:
        return _make()
    except DBAPIError as error:
        if not isinstance(error.orig, pg.LockNotAvailable):
            raise
        log.info("log_is_in_use")
        return None


@command
def _make(session: Session) -> str | None:
    made: str | None = session.execute(MAKE).scalar()
    if made:
        log.info("partition_made", partition=made)
    return made
