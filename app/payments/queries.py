"""Reads of Payments: what each mail says, and how the mails stand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy.orm import Session

from app.kernel.counts import Count
from app.kernel.db import sql

LINES = 200
NEWS = 30
# What a digest tells of, in its order (see the notifications' models).
KINDS = ("given", "kept", "taken", "paid", "corrected", "asked", "approved", "refused")
PAGE = 50
COUNTED_MAX = 10_000  # of those that are sent
STATES = ("queued", "sending", "sent", "failed", "unknown")

PAYOUT = sql("""
SELECT p.business_day, p.amount, p.account_id,
       (SELECT max(b.business_day) FROM payouts b
        WHERE b.account_id = p.account_id AND b.business_day < p.business_day) AS paid_before
FROM payouts p WHERE p.id = :payout_id
""")
# The transfers that made the sum, newest first: the payout before this one left the balance at
# zero, so they are those of the business days since.
LINES_OF = sql("""
SELECT t.timestamp, t.business_day, t.kind, t.delta_balance, k.ticket_key, k.name AS task_name,
       t.description, count(*) OVER () AS lines, sum(t.delta_balance) OVER () AS sum
FROM account_transfers t LEFT JOIN tasks k ON k.id = t.task_id
WHERE t.owner_account_id = :account_id AND t.business_day <= :day AND t.kind <> 'payout'
  AND (CAST(:paid_before AS date) IS NULL OR t.business_day > :paid_before)
ORDER BY t.business_day DESC, t.id DESC LIMIT :limit
""")
# What the closing report says: the day's frozen totals, what stays owed, and the head of the chain.
CLOSING = sql("""
SELECT d.day, l.fees, l.rewards, l.corrections, l.income, d.paid_total, d.paid_count, d.closed_at,
       d.sealed_block, encode(b.hash, 'hex') AS head_hash
FROM business_days d LEFT JOIN ledger_days l ON l.business_day = d.day
LEFT JOIN ledger_blocks b ON b.id = d.sealed_block
WHERE d.day = :day AND d.status = 'closed'
""")
# Mails, newest first, of any state or one. There are many that are sent; the others have an index.
_MAILS = """
SELECT e.id, e.kind, e.state, e.attempts, e.queued_at, e.due_at, e.sent_at, e.last_error,
       e.message_id, e.user_id, u.login, coalesce(e.business_day, p.business_day) AS business_day,
       p.amount
FROM emails e JOIN users u ON u.id = e.user_id LEFT JOIN payouts p ON p.id = e.payout_id
WHERE {of_state} AND (CAST(:before AS bigint) IS NULL OR e.id < :before)
ORDER BY e.id DESC LIMIT :limit
"""
ALL_MAILS = sql(_MAILS.format(of_state="true"))
SENT_MAILS = sql(_MAILS.format(of_state="e.state = 'sent'"))
UNSENT_MAILS = sql(
    _MAILS.format(of_state="e.state <> 'sent' AND e.state = CAST(:state AS email_state)")
)
UNSENT_COUNTS = sql("""
SELECT state::text, count(*) FROM emails WHERE state <> 'sent' GROUP BY state
""")
# How many are sent, up to a bound: most of the table is, so that it is soon reached.
SENT_COUNT = sql("""
SELECT count(*) FROM (SELECT FROM emails WHERE state = 'sent' LIMIT :at_most) AS bounded
""")
# The lines of a digest, newest first: counts by kind, and the task or transfer of a line of one.
DIGEST = sql("""
SELECT n.day, n.given, n.kept, n.taken, n.paid, n.corrected, n.asked, n.approved, n.refused,
       n.lines, a.login AS actor_login,
       one.ticket_key, one.task_name, one.amount, one.business_day
FROM (
  SELECT id, actor_id, (occurred_at AT TIME ZONE :timezone)::date AS day, given, kept, taken, paid,
         corrected, asked, approved, refused, count(*) OVER () AS lines
  FROM notifications WHERE user_id = :user_id AND id > :after AND id <= :up_to
  ORDER BY id DESC LIMIT :limit) AS n
LEFT JOIN users a ON a.id = n.actor_id
LEFT JOIN LATERAL (
  SELECT k.ticket_key, k.name AS task_name, t.business_day,
         CASE WHEN c.id IS NOT NULL THEN -wrong.delta_balance
              WHEN e.kind = 'corrected' THEN t.delta_balance ELSE t.amount END AS amount
  FROM notification_events e
  LEFT JOIN tasks k ON k.id = e.task_id
  LEFT JOIN account_transfers t ON t.event_id = e.event_id AND e.task_id IS NULL
  LEFT JOIN corrections c ON c.id = e.correction_id
  LEFT JOIN account_transfers wrong ON wrong.id = c.transfer_id
  WHERE e.notification_id = n.id LIMIT 1) AS one
  ON n.given + n.kept + n.taken + n.paid + n.corrected + n.asked + n.approved + n.refused = 1
ORDER BY n.id DESC
""")


@dataclass(frozen=True, slots=True)
class Line:
    """A transfer that made the sum; `delta` is signed for the employee, in minor units."""

    timestamp: datetime
    business_day: date
    kind: str
    delta: int
    name: str


@dataclass(frozen=True, slots=True)
class Payout:
    """A payout and the newest of the lines that made it; older ones are counted and summed."""

    business_day: date
    amount: int
    lines: Sequence[Line]
    older_lines: int
    older_sum: int


@dataclass(frozen=True, slots=True)
class News:
    """What one cause did to somebody: counts by kind, and what it is when that is one thing."""

    day: date
    counts: Mapping[str, int]
    actor_login: str | None
    name: str
    amount: int | None
    business_day: date | None


@dataclass(frozen=True, slots=True)
class Digest:
    """What somebody had not read, newest first, and how many more lines there are."""

    lines: Sequence[News]
    older_lines: int


def payout_of(session: Session, payout_id: int) -> Payout:
    """The payout with its lines; lines and older lines sum up to its amount."""
    row = session.execute(PAYOUT, {"payout_id": payout_id}).one()
    names = {"account_id": row.account_id, "day": row.business_day, "limit": LINES}
    found = session.execute(LINES_OF, {**names, "paid_before": row.paid_before}).all()
    lines = [_line(line) for line in found]
    return Payout(
        business_day=row.business_day,
        amount=row.amount,
        lines=lines,
        older_lines=(found[0].lines if found else 0) - len(lines),
        older_sum=int(found[0].sum if found else 0) - sum(line.delta for line in lines),
    )


def closing_of(session: Session, day: date) -> Any:
    """The closed business day `day` with its totals and the head of the hash chain."""
    return session.execute(CLOSING, {"day": day}).one()


def digest_of(session: Session, user_id: int, *, after: int, up_to: int, timezone: str) -> Digest:
    """The digest of somebody's notifications after the id `after`, up to `up_to`."""
    names = {"user_id": user_id, "after": after, "up_to": up_to, "timezone": timezone}
    rows = session.execute(DIGEST, {**names, "limit": NEWS}).all()
    return Digest([_news(row) for row in rows], (rows[0].lines if rows else 0) - len(rows))


def mails(
    session: Session, *, state: str | None = None, before: int | None = None, limit: int = PAGE
) -> Sequence[Any]:
    """Mails, newest first, `limit` + 1 of them to tell whether more follow."""
    names = {"state": state, "before": before, "limit": limit + 1}
    if state is None:
        return session.execute(ALL_MAILS, names).all()
    return session.execute(SENT_MAILS if state == "sent" else UNSENT_MAILS, names).all()


def unsent_counts(session: Session) -> dict[str, int]:
    """How many mails there are in each state but `sent`."""
    found = {row[0]: row[1] for row in session.execute(UNSENT_COUNTS)}
    return {state: found.get(state, 0) for state in STATES if state != "sent"}


def counts(session: Session) -> dict[str, Count]:
    """How many mails there are in each state."""
    found = session.execute(SENT_COUNT, {"at_most": COUNTED_MAX + 1}).scalar_one()
    unsent = {state: Count(number) for state, number in unsent_counts(session).items()}
    return {**unsent, "sent": Count.up_to(COUNTED_MAX, found)}


def _line(row: Any) -> Line:
    return Line(row.timestamp, row.business_day, row.kind, row.delta_balance, _task_name(row))


def _news(row: Any) -> News:
    counts = {kind: getattr(row, kind) for kind in KINDS if getattr(row, kind)}
    return News(row.day, counts, row.actor_login, _task_name(row), row.amount, row.business_day)


def _task_name(row: Any) -> str:
    name = f"{row.ticket_key} {row.task_name}" if row.ticket_key else row.task_name
    return name or ""
