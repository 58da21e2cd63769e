"""The whole ledger, for accountants: one filter behind the tiles, the table and the export."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from app.accounting.queries.periods import Period
from app.kernel.db import sql

PAGE = 50
PAGE_MAX = 200
EXPORT_CHUNK = 5_000

_COLUMNS = """
t.id, t.timestamp, t.recorded_at, t.business_day, t.late, t.kind, t.delta_balance,
t.balance_after, t.description, t.task_id, t.event_id, a.user_id, u.login, k.name AS task_name,
k.ticket_key
"""
_FROM = """
FROM account_transfers t
JOIN accounts a ON a.id = t.owner_account_id
JOIN users u ON u.id = a.user_id
LEFT JOIN tasks k ON k.id = t.task_id
"""

# Every employee's balance, the largest debt first; keyset by (balance, id).
BALANCES = sql("""
SELECT a.id, a.user_id, u.login, u.is_active, a.balance,
       coalesce(d.rewards, 0) AS rewards_today, coalesce(d.fees, 0) AS fees_today
FROM accounts a JOIN users u ON u.id = a.user_id
LEFT JOIN account_days d ON d.account_id = a.id AND d.business_day = :today
WHERE a.kind = 'employee'
ORDER BY a.balance, a.id LIMIT :limit
""")


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


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerFilter:
    """Which transfers: a period of business days, and optionally one employee or one kind."""

    period: Period
    user_id: int | None = None
    kind: str | None = None

    def where(self) -> tuple[str, dict[str, Any]]:
        """SQL conditions from a fixed list, and their parameters."""
        conditions = ["t.business_day BETWEEN :first AND :last"]
        names: dict[str, Any] = {"first": self.period.first, "last": self.period.last}
        if self.user_id is not None:
            conditions.append(
                "t.owner_account_id = (SELECT id FROM accounts WHERE user_id = :user_id)"
            )
            names["user_id"] = self.user_id
        if self.kind is not None:
            conditions.append("t.kind = CAST(:kind AS transfer_kind)")
            names["kind"] = self.kind
        return " AND ".join(conditions), names


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums of a filter in minor units; the company's income is fees less rewards."""

    fees: int
    rewards: int
    payouts: int
    corrections: int
    transfers: int

    @property
    def income(self) -> int:
        return self.fees - self.rewards - self.corrections


def all_transfers(
    session: Session,
    wanted: LedgerFilter,
    *,
    before: tuple[date, int] | None = None,
    limit: int = PAGE,
) -> list[TransferRow]:
    """Transfers, newest first, `limit` + 1 of them to tell whether more follow."""
    where, names = wanted.where()
    if before is not None:
        where += " AND (t.business_day, t.id) < (:before_day, :before_id)"
        names |= {"before_day": before[0], "before_id": before[1]}
    statement = sql(
        f"SELECT {_COLUMNS} {_FROM} WHERE {where}"
        " ORDER BY t.business_day DESC, t.id DESC LIMIT :limit"
    )
    return [TransferRow(*row) for row in session.execute(statement, {**names, "limit": limit + 1})]


def export_transfers(session: Session, wanted: LedgerFilter) -> Iterator[TransferRow]:
    """Every transfer of the filter, newest first, read a chunk at a time in constant memory."""
    before: tuple[date, int] | None = None
    while True:
        rows = all_transfers(session, wanted, before=before, limit=EXPORT_CHUNK)
        yield from rows[:EXPORT_CHUNK]
        if len(rows) <= EXPORT_CHUNK:
            return
        before = (rows[EXPORT_CHUNK - 1].business_day, rows[EXPORT_CHUNK - 1].id)


def totals(session: Session, wanted: LedgerFilter) -> Totals:
    """The sums of the filter, from the roll-ups (of days, or of one account's days)."""
    names: dict[str, Any] = {"first": wanted.period.first, "last": wanted.period.last}
    source, where = "ledger_days", "business_day BETWEEN :first AND :last"
    if wanted.user_id is not None:
        source = "account_days"
        where += " AND account_id = (SELECT id FROM accounts WHERE user_id = :user_id)"
        names["user_id"] = wanted.user_id
    columns = ", ".join(
        f"coalesce(sum({column}), 0)::bigint"
        for column in ("fees", "rewards", "payouts", "corrections", "transfers")
    )
    sums = Totals(
        *session.execute(sql(f"SELECT {columns} FROM {source} WHERE {where}"), names).one()
    )
    return sums if wanted.kind is None else _only(sums, wanted, session)


def _only(sums: Totals, wanted: LedgerFilter, session: Session) -> Totals:
    """The sums of one kind alone; the roll-ups count the transfers of all kinds together."""
    where, names = wanted.where()
    counted = session.execute(sql(f"SELECT count(*) FROM account_transfers t WHERE {where}"), names)
    kept = {
        "assign_fee": ("fees", sums.fees),
        "completion_reward": ("rewards", sums.rewards),
        "payout": ("payouts", sums.payouts),
        "reversal": ("corrections", sums.corrections),
    }
    zero = {"fees": 0, "rewards": 0, "payouts": 0, "corrections": 0}
    name, value = kept[str(wanted.kind)]
    return Totals(**{**zero, name: value}, transfers=int(counted.scalar_one()))


def balances(session: Session, today: date, *, limit: int = 500) -> Sequence[Any]:
    """Every employee's balance, the largest debt first, with today's rewards and fees."""
    return session.execute(BALANCES, {"today": today, "limit": limit}).all()
