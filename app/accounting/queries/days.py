"""Business days: what each brought, what closing the next will pay, and the mail of each payout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy.orm import Session

from app.kernel import settings
from app.kernel.db import sql
from app.kernel.errors import NotFound
from app.kernel.periods import Period

# The company's days of a period, each with its sums, also those on which nothing happened.
LEDGER_DAYS = sql("""
SELECT days.day::date AS business_day, coalesce(l.fees, 0) AS fees,
       coalesce(l.rewards, 0) AS rewards,
       coalesce(l.payouts, 0) AS payouts, coalesce(l.income, 0) AS income,
       coalesce(l.transfers, 0) AS transfers, b.status
FROM generate_series(CAST(:first AS timestamp), CAST(:last AS timestamp), interval '1 day')
       AS days (day)
LEFT JOIN ledger_days l ON l.business_day = days.day
LEFT JOIN business_days b ON b.day = days.day
ORDER BY days.day
""")
# Days that were closed or are closing, newest first, with the state of their mails: each payout
# has one, and only those that are not sent have to be looked at.
PAYOUT_RUNS = sql("""
SELECT d.day, d.status, d.closed_at, d.fees, d.rewards, d.paid_total, d.paid_count,
       coalesce(d.paid_count, (SELECT count(*) FROM payouts p WHERE p.business_day = d.day))
         - coalesce(m.unsent, 0) AS mails_sent,
       coalesce(m.failed, 0) AS mails_failed, coalesce(m.unsent - m.failed, 0) AS mails_waiting
FROM business_days d
LEFT JOIN (
  SELECT p.business_day, count(*) AS unsent,
         count(*) FILTER (WHERE e.state IN ('failed', 'unknown')) AS failed
  FROM emails e JOIN payouts p ON p.id = e.payout_id WHERE e.state <> 'sent' GROUP BY 1)
  AS m ON m.business_day = d.day
WHERE d.status <> 'open' AND (CAST(:before AS date) IS NULL OR d.day < :before)
ORDER BY d.day DESC LIMIT :limit
""")
PAYOUTS_OF_DAY = sql("""
SELECT p.id, p.amount, p.transfer_id, a.user_id, u.login, e.id AS email_id, e.state AS mail_state,
       e.attempts AS mail_attempts, e.last_error AS mail_error, e.sent_at AS mail_sent_at
FROM payouts p
JOIN accounts a ON a.id = p.account_id
JOIN users u ON u.id = a.user_id
LEFT JOIN emails e ON e.payout_id = p.id
WHERE p.business_day = :day AND p.id > :after ORDER BY p.id LIMIT :limit
""")
# A day that was closed, or is being closed: its totals, what was late, and its seal.
CLOSING_REPORT = sql("""
SELECT d.day, d.status, d.closing_at, d.closed_at, d.sealed_block,
       encode(b.hash, 'hex') AS head_hash,
       coalesce(l.fees, 0) AS fees, coalesce(l.rewards, 0) AS rewards,
       coalesce(l.corrections, 0) AS corrections, coalesce(l.income, 0) AS income,
       p.paid_count, p.paid_total, p.mails_sent,
       (SELECT count(*) FROM account_transfers t WHERE t.business_day = d.day AND t.late)
         AS late_from_before,
       (SELECT count(*) FROM account_transfers t
        WHERE t.timestamp >= lower(d.during) AND t.timestamp < upper(d.during)
          AND t.business_day > d.day AND t.late) AS late_afterwards
FROM business_days d
LEFT JOIN ledger_days l ON l.business_day = d.day
LEFT JOIN ledger_blocks b ON b.id = d.sealed_block
CROSS JOIN LATERAL (
  SELECT count(*) AS paid_count, coalesce(sum(p.amount), 0)::bigint AS paid_total,
         count(*) FILTER (WHERE e.state = 'sent') AS mails_sent
  FROM payouts p LEFT JOIN emails e ON e.payout_id = p.id WHERE p.business_day = d.day) AS p
WHERE d.day = :day AND d.status <> 'open'
""")
# What changes while a day's mails are sent: how many are in each state, and how often they were
# tried.
MAILS_OF_DAY = sql("""
SELECT count(*) FILTER (WHERE e.state = 'sent'), count(*) FILTER (WHERE e.state = 'sending'),
       count(*) FILTER (WHERE e.state IN ('failed', 'unknown')), coalesce(sum(e.attempts), 0)
FROM payouts p JOIN emails e ON e.payout_id = p.id WHERE p.business_day = :day
""")
# The next day that closing would close, and whether it has ended.
NEXT_DAY = sql("""
WITH next AS (
  SELECT coalesce(
    (SELECT day + 1 FROM business_days WHERE status = 'closed' ORDER BY day DESC LIMIT 1),
    (SELECT day FROM business_days ORDER BY day LIMIT 1),
    (business_now() AT TIME ZONE :timezone)::date) AS day)
SELECT day, EXISTS (SELECT FROM business_days b WHERE b.day = next.day AND b.status = 'closing')
         AS is_closing,
       business_now() >= (day + 1)::timestamp AT TIME ZONE :timezone AS has_ended,
       (business_now() AT TIME ZONE :timezone)::date AS today,
       (SELECT count(*) FROM accounts WHERE kind = 'employee') AS accounts,
       (SELECT count(*) FROM (
          SELECT coalesce(max(xid), '0') AS xid, coalesce(max(id), 0) AS id
          FROM outbox_cursors WHERE consumer = 'accounting') AS c
        CROSS JOIN LATERAL (
          SELECT FROM outbox o WHERE o.xid >= c.xid AND (o.xid, o.id) > (c.xid, c.id)
          ORDER BY o.xid, o.id LIMIT 10000) AS bounded) AS waiting
FROM next
""")
# Whom closing the day would still pay, by the rule of the closing itself.
_OWED = """
SELECT a.id AS account_id, a.user_id, a.balance - coalesce(later.delta, 0) AS amount
FROM accounts a
LEFT JOIN (SELECT account_id, sum(delta)::bigint AS delta FROM account_days
           WHERE business_day > :day GROUP BY account_id) AS later ON later.account_id = a.id
WHERE a.kind = 'employee' AND a.balance - coalesce(later.delta, 0) > 0
  AND NOT EXISTS (SELECT FROM payouts p WHERE p.business_day = :day AND p.account_id = a.id)
"""
# The largest of them, each with the count and the sum of all.
WOULD_PAY = sql(f"""
SELECT owed.user_id, u.login, owed.amount, count(*) OVER () AS all_count,
       sum(owed.amount) OVER ()::bigint AS all_total
FROM ({_OWED}) AS owed JOIN users u ON u.id = owed.user_id
ORDER BY owed.amount DESC, owed.account_id LIMIT :limit
""")
# How far a closing is: who is paid, and who is left.
CLOSING_PROGRESS = sql(f"""
SELECT d.status, p.paid_count, p.paid_total, owed.left_count, owed.left_total
FROM business_days d
CROSS JOIN (SELECT count(*) AS paid_count, coalesce(sum(amount), 0)::bigint AS paid_total
            FROM payouts WHERE business_day = :day) AS p
CROSS JOIN (SELECT count(*) AS left_count, coalesce(sum(amount), 0)::bigint AS left_total
            FROM ({_OWED}) AS owed) AS owed
WHERE d.day = :day AND d.status <> 'open'
""")
PREVIEW_ROWS = 500


@dataclass(frozen=True, slots=True)
class Preview:
    """What closing `business_day` would pay; `rows` are the largest, bounded."""

    business_day: date
    is_closing: bool
    has_ended: bool
    today: date
    paid_count: int
    paid_total: int
    unpaid_count: int
    waiting_count: int
    rows: Sequence[Any]


def ledger_days(session: Session, period: Period) -> Sequence[Any]:
    """Fees, rewards, payouts and income of each business day of the period, oldest first."""
    return session.execute(LEDGER_DAYS, {"first": period.first, "last": period.last}).all()


def business_days(
    session: Session, *, before: date | None = None, limit: int = 30
) -> Sequence[Any]:
    """Payout runs, newest first: days that were closed, with their totals and mails."""
    return session.execute(PAYOUT_RUNS, {"before": before, "limit": limit}).all()


def closing_report(session: Session, day: date) -> Any:
    """A day that was closed, or is being closed, with all there is to say of it.

    Raises NotFound for a day that is open.
    """
    row = session.execute(CLOSING_REPORT, {"day": day}).one_or_none()
    if row is None:
        raise NotFound("That day has not been closed")
    return row


def payouts_of_day(
    session: Session, day: date, *, after: int = 0, limit: int = 200
) -> Sequence[Any]:
    """The payouts of a day in order, each with the state of its mail; `limit` + 1 of them."""
    return session.execute(PAYOUTS_OF_DAY, {"day": day, "after": after, "limit": limit + 1}).all()


def mails_of_day(session: Session, day: date) -> tuple[int, ...]:
    """Numbers that change when the state of a mail of that day's payouts does."""
    return tuple(map(int, session.execute(MAILS_OF_DAY, {"day": day}).one()))


def closing_progress(session: Session, day: date) -> Any:
    """How far the closing of a day is: `status`, and count and total of those paid and left.

    Raises NotFound for a day that is open.
    """
    row = session.execute(CLOSING_PROGRESS, {"day": day}).one_or_none()
    if row is None:
        raise NotFound("That day has not been closed")
    return row


def close_preview(session: Session) -> Preview:
    """What closing the next business day would pay, and whether it has ended."""
    timezone = settings.current().business_timezone
    next_day = session.execute(NEXT_DAY, {"timezone": timezone}).one()
    names = {"day": next_day.day, "limit": PREVIEW_ROWS}
    rows = session.execute(WOULD_PAY, names).all()
    paid_count = rows[0].all_count if rows else 0
    return Preview(
        business_day=next_day.day,
        is_closing=next_day.is_closing,
        has_ended=next_day.has_ended,
        today=next_day.today,
        paid_count=paid_count,
        paid_total=rows[0].all_total if rows else 0,
        unpaid_count=next_day.accounts - paid_count,
        waiting_count=next_day.waiting,
        rows=rows,
    )
