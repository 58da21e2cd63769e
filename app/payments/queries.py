"""Reads of Payments: what a payout's mail says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy.orm import Session

from app.kernel.db import sql

LINES = 200

PAYOUT = sql("""
SELECT p.business_day, p.amount, u.login, u.email, u.locale, p.account_id, t.account_version
FROM payouts p
JOIN account_transfers t ON t.id = p.transfer_id
JOIN accounts a ON a.id = p.account_id
JOIN users u ON u.id = a.user_id
WHERE p.id = :payout_id
""")
# The transfers that made the sum: those of the account since its payout before this one.
LINES_OF = sql("""
SELECT t.timestamp, t.kind, t.delta_balance, t.task_id, k.ticket_key, k.name AS task_name
FROM account_transfers t LEFT JOIN tasks k ON k.id = t.task_id
WHERE t.owner_account_id = :account_id AND t.business_day <= :day AND t.kind <> 'payout'
  AND t.account_version < :version
  AND t.account_version > coalesce((
    SELECT max(b.account_version) FROM account_transfers b
    WHERE b.owner_account_id = :account_id AND b.kind = 'payout'
      AND b.account_version < :version), 0)
ORDER BY t.business_day, t.id LIMIT :limit
""")


@dataclass(frozen=True, slots=True)
class Payout:
    """A payout and the lines that made it (the oldest LINES of them), in minor units."""

    business_day: date
    amount: int
    login: str
    email: str
    locale: str | None
    lines: Sequence[Any]
    has_more_lines: bool


def payout_of(session: Session, payout_id: int) -> Payout:
    """The payout with its lines."""
    row = session.execute(PAYOUT, {"payout_id": payout_id}).one()
    names = {"account_id": row.account_id, "day": row.business_day, "version": row.account_version}
    lines = session.execute(LINES_OF, {**names, "limit": LINES + 1}).all()
    return Payout(
        business_day=row.business_day,
        amount=row.amount,
        login=row.login,
        email=row.email,
        locale=row.locale,
        lines=lines[:LINES],
        has_more_lines=len(lines) > LINES,
    )
