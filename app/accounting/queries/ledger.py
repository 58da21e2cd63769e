"""The transfers of the whole ledger, for accountants: a page at a time, or all of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from sqlalchemy.orm import Session

from app.accounting.queries.filters import LedgerFilter
from app.kernel import direct
from app.kernel.db import sql
from app.kernel.direct import Read

SUM_OF_KIND = {"assign_fee": "fees", "completion_reward": "rewards", "payout": "payouts"}
PAGE = 50
PAGE_MAX = 200
EXPORT_CHUNK = 5_000

_COLUMNS = """
t.id, t.timestamp, t.recorded_at, t.business_day, t.late, t.kind, t.delta_balance,
t.balance_after, t.description, t.task_id, t.event_id, a.user_id, u.login, k.name AS task_name,
k.ticket_key, r.kind AS reversed_kind
"""
_FROM = """
FROM account_transfers t
JOIN accounts a ON a.id = t.owner_account_id
JOIN users u ON u.id = a.user_id
LEFT JOIN tasks k ON k.id = t.task_id
LEFT JOIN account_transfers r ON r.id = t.reverses_id
"""


@dataclass(frozen=True, slots=True)
class TransferRow:
    """A transfer as reports and the API show it; `delta_balance` is signed for its employee."""

    id: int
    timestamp: datetime
    recorded_at: datetime
    business_day: date
    late: bool
    kind: str
    delta_balance: int
    balance_after: int
    description: str | None
    task_id: int | None
    event_id: UUID
    user_id: int
    login: str
    task_name: str | None
    ticket_key: str | None
    reversed_kind: str | None

    @property
    def sums(self) -> tuple[tuple[str, int], ...]:
        """What the transfer adds to which of the sums in Totals."""
        if self.kind != "reversal":
            return (SUM_OF_KIND[self.kind], abs(self.delta_balance)), ("transfers", 1)
        name = "payouts_reversed" if self.reversed_kind == "payout" else "corrections"
        return (name, self.delta_balance), ("transfers", 1)


def all_transfers(
    session: Session,
    wanted: LedgerFilter,
    *,
    before: tuple[date, int] | None = None,
    limit: int = PAGE,
) -> list[TransferRow]:
    """Transfers, newest first, `limit` + 1 of them to tell whether more follow."""
    where, names = wanted.where(before)
    statement = sql(
        f"SELECT {_COLUMNS} {_FROM} WHERE {where}"
        " ORDER BY t.business_day DESC, t.id DESC LIMIT :limit"
    )
    read = Read(statement, {**names, "limit": limit + 1}, is_search=bool(wanted.words))
    return [TransferRow(*row) for row in direct.rows(session, read)]


def export_transfers(session: Session, wanted: LedgerFilter) -> Iterator[TransferRow]:
    """Every transfer of the filter, newest first, read a chunk at a time in constant memory."""
    before: tuple[date, int] | None = None
    while True:
        rows = all_transfers(session, wanted, before=before, limit=EXPORT_CHUNK)
        yield from rows[:EXPORT_CHUNK]
        if len(rows) <= EXPORT_CHUNK:
            return
        before = (rows[EXPORT_CHUNK - 1].business_day, rows[EXPORT_CHUNK - 1].id)
