"""How far the ledger is with what one transaction told, and what that has cost so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import TextClause
from sqlalchemy.orm import Session

from app.kernel.db import sql
from app.kernel.errors import NotFound

SHOWN_PEOPLE = 100
SHOWN_RUNS = 20

# How many of a transaction's events the ledger has read: all or none of them, unless its cursor
# stands among them.
_DELIVERED = """
CASE WHEN c.xid > w.xid THEN w.tasks
     WHEN c.xid = w.xid THEN (SELECT count(*) FROM outbox o WHERE o.xid = w.xid AND o.id <= c.id)
     ELSE 0 END
"""
# The work of one transaction: how many of its events were delivered and how many of those set
# aside, and the fees charged, by employee and in all. A transfer has the time of its event, and a
# transaction's events one time, so its fees are found in an index and its events are not read.
_POSTING = """
SELECT w.tasks AS told, {delivered} AS delivered,
       extract(epoch FROM business_now() - w.at)::float8 AS age_s,
       (SELECT count(*) FROM dead_letters d WHERE d.consumer = 'accounting' AND d.xid = w.xid
        AND d.state <> 'retried') AS parked,
       coalesce(f.all_posted, 0) AS posted, coalesce(f.all_fees_cents, 0)::bigint AS fees_cents,
       u.id AS user_id, u.login, f.posted AS own_posted, f.fees_cents::bigint AS own_fees_cents
FROM {work} w
LEFT JOIN outbox_cursors c ON c.consumer = 'accounting'
LEFT JOIN LATERAL (
  SELECT t.owner_account_id, count(*) AS posted, sum(t.amount) AS fees_cents,
         sum(count(*)) OVER () AS all_posted, sum(sum(t.amount)) OVER () AS all_fees_cents
  FROM account_transfers t {told}
  WHERE t.timestamp = w.at AND t.kind = 'assign_fee'
  GROUP BY t.owner_account_id ORDER BY posted DESC, t.owner_account_id LIMIT :people) AS f ON true
LEFT JOIN accounts a ON a.id = f.owner_account_id
LEFT JOIN users u ON u.id = a.user_id
WHERE w.id = :id ORDER BY f.posted DESC, u.login
"""
POSTING_OF_REASSIGNMENT = sql(_POSTING.format(delivered=_DELIVERED, work="reassignments", told=""))
POSTING_OF_IMPORT = sql(_POSTING.format(delivered=_DELIVERED, work="imports", told=""))
# The same where another transaction began in the same microsecond: each fee by its event.
_BY_EVENT = "JOIN outbox o ON o.event_id = t.event_id AND o.xid = w.xid"
POSTING_OF_REASSIGNMENT_BY_EVENT = sql(
    _POSTING.format(delivered=_DELIVERED, work="reassignments", told=_BY_EVENT)
)
POSTING_OF_IMPORT_BY_EVENT = sql(
    _POSTING.format(delivered=_DELIVERED, work="imports", told=_BY_EVENT)
)
REASSIGNMENT = sql("""
SELECT r.id, r.at, r.tasks, r.actor_id, u.login AS actor_login
FROM reassignments r JOIN users u ON u.id = r.actor_id WHERE r.id = :id
""")
# The last reassignments, newest first, each with how many of its events were delivered.
REASSIGNMENTS = sql(f"""
SELECT w.id, w.at, w.tasks, w.actor_id, u.login AS actor_login, {_DELIVERED} AS delivered
FROM reassignments w
JOIN users u ON u.id = w.actor_id
LEFT JOIN outbox_cursors c ON c.consumer = 'accounting'
ORDER BY w.id DESC LIMIT :limit
""")


@dataclass(frozen=True, slots=True)
class Share:
    """What one employee was charged: for how many tasks, and how much."""

    user_id: int
    login: str
    posted: int
    fees_cents: int


@dataclass(frozen=True, slots=True)
class Posting:
    """How far the ledger is with `told` events of `age_s`; `shares` are the largest, bounded."""

    told: int
    age_s: float
    posted: int
    parked: int
    fees_cents: int
    shares: Sequence[Share]

    @property
    def left(self) -> int:
        """How many events the ledger has not read yet."""
        return self.told - self.posted - self.parked


def reassignment(session: Session, reassignment_id: int) -> Any:
    """A reassignment: `at`, `tasks`, who made it. Raises NotFound."""
    row = session.execute(REASSIGNMENT, {"id": reassignment_id}).one_or_none()
    if row is None:
        raise NotFound("There is no such reassignment")
    return row


def reassignments(session: Session, *, limit: int = SHOWN_RUNS) -> Sequence[Any]:
    """The last reassignments, newest first, each with its `delivered` events."""
    return session.execute(REASSIGNMENTS, {"limit": limit}).all()


def posting_of_reassignment(session: Session, reassignment_id: int) -> Posting:
    """How far the ledger is with the fees of a reassignment that exists."""
    statements = (POSTING_OF_REASSIGNMENT, POSTING_OF_REASSIGNMENT_BY_EVENT)
    return _posting(session, reassignment_id, *statements)


def posting_of_import(session: Session, import_id: int) -> Posting:
    """How far the ledger is with the fees of a backlog that was imported."""
    return _posting(session, import_id, POSTING_OF_IMPORT, POSTING_OF_IMPORT_BY_EVENT)


def _posting(session: Session, work_id: int, by_time: TextClause, by_event: TextClause) -> Posting:
    names = {"id": work_id, "people": SHOWN_PEOPLE}
    rows = session.execute(by_time, names).all()
    first = rows[0]
    if first.posted != first.delivered - first.parked:
        rows = session.execute(by_event, names).all()
        first = rows[0]
    return Posting(
        told=first.told,
        age_s=first.age_s,
        posted=int(first.posted),
        parked=first.parked,
        fees_cents=first.fees_cents,
        shares=[
            Share(row.user_id, row.login, row.own_posted, row.own_fees_cents)
            for row in rows
            if row.user_id is not None
        ],
    )
