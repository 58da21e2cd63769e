"""From a transfer to what made it and what undid it: its accounts, event, reversal, correction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy.orm import Session

from app.kernel.counts import Count
from app.kernel.db import sql
from app.kernel.errors import NotFound

PAGE = 50

# A transfer with the event that made it, whom it concerns, and how it was undone.
TRACE = sql("""
SELECT t.id, t.kind, t.timestamp, t.recorded_at, t.business_day, t.late, t.amount, t.delta_balance,
       t.balance_after, t.description, t.task_id, t.event_id, t.reverses_id, a.user_id, u.login,
       k.name AS task_name, k.ticket_key, d.kind AS debit_kind, c.kind AS credit_kind,
       e.type AS event_type, e.occurred_at, e.payload, actor.login AS actor_login,
       back.id AS reversed_by_id, fix.id AS correction_id, fix.state AS correction_state,
       fix.reason, b.id AS block, day.status AS day_status,
       (SELECT p.file FROM outbox_partitions p WHERE e.id IS NULL
          AND t.timestamp BETWEEN p.first_at AND p.last_at ORDER BY p.xid_from LIMIT 1) AS archive
FROM account_transfers t
JOIN accounts a ON a.id = t.owner_account_id
JOIN users u ON u.id = a.user_id
JOIN accounts d ON d.id = t.debit_account_id
JOIN accounts c ON c.id = t.credit_account_id
JOIN business_days day ON day.day = t.business_day
LEFT JOIN tasks k ON k.id = t.task_id
LEFT JOIN outbox e ON e.event_id = t.event_id
LEFT JOIN users actor ON actor.id = e.actor_id
LEFT JOIN account_transfers back ON back.reverses_id = t.id
LEFT JOIN corrections fix ON fix.transfer_id = t.id AND fix.state <> 'refused'
LEFT JOIN LATERAL (SELECT id FROM ledger_blocks WHERE (last_xid, last_id) >= (t.xid, t.id)
                   ORDER BY last_xid, last_id LIMIT 1) AS b ON true
WHERE t.id = :transfer_id
""")
# Corrections, those that wait for a decision first, newest first.
CORRECTIONS = sql("""
SELECT c.id, c.transfer_id, c.reason, c.state, c.requested_at, c.requested_by, c.decided_at,
       c.decided_alone, c.note, c.reversal_id, asker.login AS asker, decider.login AS decider,
       t.kind, t.delta_balance, t.business_day, a.user_id, u.login,
       t.task_id, k.name AS task_name
FROM corrections c
JOIN account_transfers t ON t.id = c.transfer_id
JOIN accounts a ON a.id = t.owner_account_id
JOIN users u ON u.id = a.user_id
JOIN users asker ON asker.id = c.requested_by
LEFT JOIN users decider ON decider.id = c.decided_by
LEFT JOIN tasks k ON k.id = t.task_id
ORDER BY c.state <> 'requested', c.id DESC LIMIT :limit
""")
# How many corrections wait for a decision of somebody else than who asked, up to a bound.
WAITING = sql("""
SELECT count(*) FROM (SELECT FROM corrections
                      WHERE state = 'requested' AND requested_by <> :user_id LIMIT :at_most) AS b
""")
WAITING_MAX = 99


def transfer_of(session: Session, transfer_id: int) -> Any:
    """A transfer and everything it can be traced to. Raises NotFound."""
    row = session.execute(TRACE, {"transfer_id": transfer_id}).one_or_none()
    if row is None:
        raise NotFound("There is no such transfer")
    return row


def waiting_corrections(session: Session, user_id: int) -> Count:
    """How many corrections wait that somebody may decide, counted up to WAITING_MAX."""
    names = {"user_id": user_id, "at_most": WAITING_MAX + 1}
    return Count.up_to(WAITING_MAX, session.execute(WAITING, names).scalar_one())


def corrections(session: Session, *, limit: int = 200) -> Sequence[Any]:
    """Corrections: first those that wait for a decision, then the newest."""
    return session.execute(CORRECTIONS, {"limit": limit}).all()
