"""Reads of Notifications: how many are unread, and what the lines tell of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy.orm import Session

from app.kernel.db import sql
from app.notifications.models import KINDS

PAGE = 30
# A line shows so many of its tasks; the others are counted.
TASKS_OF_A_LINE = 10

# Somebody's lines, newest first, with who did it.
LINES_OF = sql("""
SELECT n.id, n.occurred_at, n.given, n.kept, n.taken, n.paid, n.corrected, n.asked, n.approved,
       n.refused, a.login AS actor_login, n.id > coalesce(r.read_up_to, 0) AS is_unread
FROM notifications n
LEFT JOIN users a ON a.id = n.actor_id
LEFT JOIN notification_readers r ON r.user_id = n.user_id
WHERE n.user_id = :user_id AND (CAST(:before AS bigint) IS NULL OR n.id < :before)
ORDER BY n.id DESC LIMIT :limit
""")
# What each of the lines tells of, a bounded number: the task, or the transfer, signed for its
# employee where it is a correction, and why it was made; or the correction that waits or was
# decided, with what it would change, and why it was refused.
TOLD_BY = sql("""
SELECT e.notification_id, e.kind::text, e.task_id, k.ticket_key,
       coalesce(k.name, c.reason, t.description) AS name, t.id AS transfer_id,
       CASE WHEN e.correction_id IS NOT NULL THEN -wrong.delta_balance
            WHEN e.kind = 'corrected' THEN t.delta_balance ELSE t.amount END AS cents,
       t.business_day, e.correction_id, CASE WHEN e.kind = 'refused' THEN c.note END AS note
FROM unnest(CAST(:ids AS bigint[])) AS n (id)
CROSS JOIN LATERAL (
  SELECT notification_id, event_id, kind, task_id, correction_id FROM notification_events
  WHERE notification_id = n.id ORDER BY kind, task_id LIMIT :each) AS e
LEFT JOIN tasks k ON k.id = e.task_id
LEFT JOIN account_transfers t ON t.event_id = e.event_id AND e.task_id IS NULL
LEFT JOIN corrections c ON c.id = e.correction_id
LEFT JOIN account_transfers wrong ON wrong.id = c.transfer_id
""")


@dataclass(frozen=True, slots=True)
class Told:
    """What a line tells of: a task, a payout, or a correction, whose `cents` are signed.

    A correction that has a `correction_id` waits for the reader, or was asked for by them.
    """

    kind: str
    task_id: int | None
    ticket_key: str | None
    name: str | None
    transfer_id: int | None
    cents: int | None
    business_day: date | None
    correction_id: int | None
    note: str | None


@dataclass(frozen=True, slots=True)
class Line:
    """What one cause did to somebody: counts by kind, and the first of what they count."""

    id: int
    occurred_at: datetime
    given: int
    kept: int
    taken: int
    paid: int
    corrected: int
    asked: int
    approved: int
    refused: int
    actor_login: str | None
    is_unread: bool
    told: Sequence[Told]

    @property
    def count(self) -> int:
        """How many things the line tells of."""
        return sum(getattr(self, kind) for kind in KINDS)


def lines_of(
    session: Session, user_id: int, *, before: int | None = None, limit: int = PAGE
) -> list[Line]:
    """Somebody's lines, newest first, `limit` + 1 of them to tell whether more follow."""
    names = {"user_id": user_id, "before": before, "limit": limit + 1}
    rows = session.execute(LINES_OF, names).all()
    told = _told_by(session, [row.id for row in rows])
    return [_line(row, told[row.id]) for row in rows]


def _told_by(session: Session, ids: Sequence[int]) -> dict[int, list[Told]]:
    told: dict[int, list[Told]] = defaultdict(list)
    names: dict[str, Any] = {"ids": list(ids), "each": TASKS_OF_A_LINE}
    for line_id, *facts in session.execute(TOLD_BY, names):
        told[line_id].append(Told(*facts))
    return told


def _line(row: Any, told: Sequence[Told]) -> Line:
    return Line(
        id=row.id,
        occurred_at=row.occurred_at,
        given=row.given,
        kept=row.kept,
        taken=row.taken,
        paid=row.paid,
        corrected=row.corrected,
        asked=row.asked,
        approved=row.approved,
        refused=row.refused,
        actor_login=row.actor_login,
        is_unread=row.is_unread,
        told=told,
    )
