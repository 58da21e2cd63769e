"""Closing a business day: every positive balance of its end is paid, once, and the day is frozen.

Days are closed in order. A day can be closed when it has ended, no transaction that began in it
still runs, and the accounting cursor has passed its events. From `closing` on, whatever still
arrives for the day counts on the next one, marked late. Payouts are made in chunks, a transaction
each; UNIQUE (business_day, account) lets a run that was cut off be finished by the next.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import date, timedelta
from math import inf
from typing import Any

from sqlalchemy.orm import Session

from app.accounting.commands.posting import ACCOUNTING
from app.accounting.commands.sealing import seal_ledger
from app.accounting.queries.zone import refuse_moved_day
from app.events import BusinessDayClosed, PayoutMade
from app.kernel import clock, settings
from app.kernel.actor import Actor
from app.kernel.db import command, sql
from app.kernel.errors import Conflict, Forbidden
from app.kernel.messages import said
from app.kernel.policy import Role
from app.outbox import emit, relay, wake_relay

CHUNK = 10_000
LOOK_AGAIN_S = 0.05

# How long a closing looks for transactions that hide transfers from the seal; the schedule seals
# what they hid.
SEAL_PATIENCE_S = 1.0

LOCK_DAY_GATE = sql("SELECT pg_advisory_xact_lock(1)")
# The first day that is not closed: the one after the last closed, or the first there is.
FIRST_UNCLOSED = sql("""
SELECT coalesce(
  (SELECT day + 1 FROM business_days WHERE status = 'closed' ORDER BY day DESC LIMIT 1),
  (SELECT day FROM business_days ORDER BY day LIMIT 1))
""")
DAY = sql("SELECT status, paid_count, paid_total FROM business_days WHERE day = :day")
OPEN_DAY = sql("""
INSERT INTO business_days (day, during)
VALUES (:day, tstzrange(CAST(:day AS date)::timestamp AT TIME ZONE :timezone,
                        (CAST(:day AS date) + 1)::timestamp AT TIME ZONE :timezone))
ON CONFLICT (day) DO UPDATE SET during = excluded.during
  WHERE business_days.status = 'open' AND business_days.during <> excluded.during
""")
# Why a day cannot be closed yet: it goes on, a transaction of it still runs, or events of it wait.
HINDRANCES = sql("""
SELECT business_now() < upper(d.during) AS goes_on,
       oldest_transaction_started_at() + (SELECT shift FROM business_clock) < upper(d.during)
         AS still_running,
       EXISTS (SELECT FROM outbox o WHERE o.xid >= c.xid AND (o.xid, o.id) > (c.xid, c.id)
                 AND o.occurred_at < upper(d.during) ORDER BY o.xid, o.id LIMIT 1) AS events_wait
FROM business_days d CROSS JOIN (
  SELECT coalesce(max(xid), '0') AS xid, coalesce(max(id), 0) AS id
  FROM outbox_cursors WHERE consumer = :consumer) AS c
WHERE d.day = :day
""")
START_CLOSING = sql("""
UPDATE business_days SET status = 'closing', closing_at = business_now()
WHERE day = :day AND status = 'open'
""")
# Pays the next accounts whose balance at the end of the day is positive: the balance of now less
# what later days moved. The transfer, its event, the payout, the roll-ups and the mail are one.
PAY_CHUNK = sql(f"""
WITH owed AS MATERIALIZED (
  SELECT a.id AS account_id, a.user_id, a.balance, a.version,
         a.balance - coalesce(later.delta, 0) AS amount, uuidv7() AS event_id
  FROM accounts a
  LEFT JOIN (SELECT account_id, sum(delta)::bigint AS delta FROM account_days
             WHERE business_day > :day GROUP BY account_id) AS later ON later.account_id = a.id
  WHERE a.kind = 'employee' AND a.balance - coalesce(later.delta, 0) > 0
    AND NOT EXISTS (SELECT FROM payouts p WHERE p.business_day = :day AND p.account_id = a.id)
  ORDER BY a.id LIMIT :chunk
), told AS (
  INSERT INTO outbox (event_id, type, schema_version, user_id, actor_id, payload)
  SELECT event_id, '{PayoutMade.__name__}', {PayoutMade.version}, user_id, :actor_id,
         jsonb_build_object('business_day', CAST(:day AS date), 'amount', amount) FROM owed
), posted AS (
  INSERT INTO account_transfers (event_id, kind, debit_account_id, credit_account_id,
    owner_account_id, amount, balance_after, account_version, timestamp, business_day)
  SELECT event_id, 'payout', account_id, clearing.id, account_id, amount, balance - amount,
         version + 1, business_now(), :day
  FROM owed, (SELECT id FROM accounts WHERE kind = 'payroll_clearing') AS clearing
  RETURNING id, owner_account_id, amount, business_day
), moved AS (
  UPDATE accounts a SET balance = a.balance - o.amount, version = a.version + 1
  FROM owed o WHERE a.id = o.account_id
), paid AS (
  INSERT INTO payouts (business_day, account_id, transfer_id, amount)
  SELECT business_day, owner_account_id, id, amount FROM posted RETURNING id, account_id
), mailed AS (
  INSERT INTO emails (dedupe_key, message_id, user_id, kind, payout_id)
  SELECT 'payout:' || paid.id, '<payout-' || paid.id || '-' || o.event_id || '@ates>',
         o.user_id, 'payout', paid.id
  FROM paid JOIN owed o USING (account_id)
), by_account AS (
  INSERT INTO account_days AS d (account_id, business_day, payouts, transfers)
  SELECT owner_account_id, business_day, amount, 1 FROM posted
  ON CONFLICT (account_id, business_day) DO UPDATE
    SET payouts = d.payouts + excluded.payouts, transfers = d.transfers + 1
), by_day AS (
  INSERT INTO ledger_days AS d (business_day, payouts, transfers)
  SELECT :day, sum(amount), count(*) FROM posted HAVING count(*) > 0
  ON CONFLICT (business_day) DO UPDATE
    SET payouts = d.payouts + excluded.payouts, transfers = d.transfers + excluded.transfers
)
SELECT count(*) FROM owed
""")
# Freezes the day's totals, and what stays owed at its end by the employees; they are owed nothing.
FINISH_CLOSING = sql("""
WITH owing AS (
  SELECT a.balance - coalesce(later.delta, 0) AS balance FROM accounts a
  LEFT JOIN (SELECT account_id, sum(delta)::bigint AS delta FROM account_days
             WHERE business_day > :day GROUP BY account_id) AS later ON later.account_id = a.id
  WHERE a.kind = 'employee' AND a.balance - coalesce(later.delta, 0) < 0
)
UPDATE business_days d SET status = 'closed', closed_at = business_now(),
  fees = coalesce((SELECT fees FROM ledger_days l WHERE l.business_day = d.day), 0),
  rewards = coalesce((SELECT rewards FROM ledger_days l WHERE l.business_day = d.day), 0),
  paid_total = (SELECT coalesce(sum(amount), 0) FROM payouts p WHERE p.business_day = d.day),
  paid_count = (SELECT count(*) FROM payouts p WHERE p.business_day = d.day),
  debts = (SELECT coalesce(sum(balance), 0) FROM owing), debtors = (SELECT count(*) FROM owing)
WHERE day = :day AND status = 'closing'
""")
PAID_SO_FAR = sql("""
SELECT count(*) AS paid_count, coalesce(sum(amount), 0)::bigint AS paid_total
FROM payouts WHERE business_day = :day
""")
HAND_OVER = sql("""
UPDATE business_days SET handed_over_by = :actor_id WHERE day = :day AND status = 'closing'
""")
# The closing that somebody handed over to the worker.
HANDED_OVER = sql("""
SELECT d.day, u.id, u.login, u.role
FROM business_days d JOIN users u ON u.id = d.handed_over_by AND u.is_active
WHERE d.status = 'closing'
""")


@dataclass(frozen=True, slots=True)
class ClosedDay:
    """A closed business day: whom it paid, how much, and whether it was closed before this call.

    `is_closing`: it is not closed yet, and the worker pays on.
    """

    business_day: date
    paid_count: int
    paid_total: int
    already_closed: bool
    is_closing: bool = False


def pay_to_workers(
    actor: Actor,
    *,
    business_day: date | None = None,
    patience_s: float = 5.0,
    chunk: int = CHUNK,
    pay_for_s: float = inf,
) -> ClosedDay:
    """Close `business_day` (by default yesterday) and, first and in order, any before it.

    Running it again changes nothing and says so. Posts what waits in the outbox first, and waits
    up to `patience_s` for what is under way; seals the ledger at the end. Begins no further chunk
    after `pay_for_s`: the worker goes on, see `go_on_closing`. Raises Conflict when the day has
    not ended, its events are not all posted by then, it lies before the first business
    day, or the time zone would move a closed day.
    """
    actor.require("pay_to_workers")
    yesterday = _yesterday()
    day = business_day or yesterday
    if day > yesterday:
        raise Conflict(said("%(day)s has not ended yet", day=day))
    relay.drain(ACCOUNTING, patience_s=patience_s)
    # Where nothing was ever posted, the business begins with the day that ended last.
    closed = None
    while (next_day := _first_unclosed(yesterday)) <= day:
        _wait_and_start_closing(next_day, patience_s)
        give_up_at = time.monotonic() + pay_for_s
        while _pay_chunk(actor, next_day, chunk=chunk) == chunk:
            if time.monotonic() >= give_up_at:
                return _hand_over(actor, next_day)
        closed = _finish_closing(actor, next_day)
    seal_ledger(patience_s=SEAL_PATIENCE_S if closed else 0.0)
    return closed if closed and closed.business_day == day else _already_closed(day)


def go_on_closing() -> int:
    """Finish the closing that was handed over, for whoever began it; returns how many days."""
    row = _handed_over()
    if row is None:
        return 0
    actor = Actor(row.id, row.login, Role(row.role))
    if not actor.may("pay_to_workers"):
        return 0  # not any more: the Payment Service finishes it
    return int(not pay_to_workers(actor, business_day=row.day).already_closed)


def end_demo_day(actor: Actor, *, pay_for_s: float = inf) -> ClosedDay:
    """Demo only: move the clock to the start of the next business day, and close the one before.

    Raises Forbidden outside a demo.
    """
    actor.require("end_demo_day")
    if not settings.current().demo:
        raise Forbidden("Only a demo company can end its day early")
    return pay_to_workers(actor, business_day=_move_to_next_day(), pay_for_s=pay_for_s)


@command
def _move_to_next_day(session: Session) -> date:
    timezone = settings.current().business_timezone
    day = clock.today(session, timezone)
    session.execute(OPEN_DAY, {"day": day, "timezone": timezone})
    clock.move_to(session, clock.start_of(session, day + timedelta(days=1), timezone))
    return day


@command
def _yesterday(session: Session) -> date:
    return clock.today(session, settings.current().business_timezone) - timedelta(days=1)


@command
def _first_unclosed(session: Session, default: date) -> date:
    day: date | None = session.execute(FIRST_UNCLOSED).scalar()
    return day or default


def _wait_and_start_closing(day: date, patience_s: float) -> None:
    """Start closing `day` once its transactions have ended and its events are posted."""
    give_up_at = time.monotonic() + patience_s
    while not _start_closing(day):
        if time.monotonic() >= give_up_at:
            raise Conflict(
                said(
                    "%(day)s cannot be closed yet: not all of its events are posted. Try again",
                    day=day,
                )
            )
        time.sleep(LOOK_AGAIN_S)
        relay.drain(ACCOUNTING, patience_s=0)


@command
def _start_closing(session: Session, day: date) -> bool:
    session.execute(LOCK_DAY_GATE)
    timezone = settings.current().business_timezone
    refuse_moved_day(session, timezone)
    session.execute(OPEN_DAY, {"day": day, "timezone": timezone})
    hindrance = session.execute(HINDRANCES, {"day": day, "consumer": ACCOUNTING.name}).one()
    if hindrance.goes_on:
        raise Conflict(said("%(day)s has not ended yet", day=day))
    if hindrance.still_running or hindrance.events_wait:
        return False
    session.execute(START_CLOSING, {"day": day})
    return True


@command
def _pay_chunk(session: Session, actor: Actor, day: date, *, chunk: int) -> int:
    session.execute(LOCK_DAY_GATE)
    if session.execute(DAY, {"day": day}).one().status != "closing":
        return 0  # a rival finished it
    names = {"day": day, "actor_id": actor.user_id, "chunk": chunk}
    paid = int(session.execute(PAY_CHUNK, names).scalar_one())
    wake_relay(session)
    return paid


@command
def _hand_over(session: Session, actor: Actor, day: date) -> ClosedDay:
    handed = session.execute(HAND_OVER, {"day": day, "actor_id": actor.user_id}).rowcount == 1  # type: ignore[attr-defined]
    row = session.execute(PAID_SO_FAR, {"day": day}).one()
    return ClosedDay(day, row.paid_count, row.paid_total, already_closed=False, is_closing=handed)


@command
def _handed_over(session: Session) -> Any:
    return session.execute(HANDED_OVER).one_or_none()


@command
def _finish_closing(session: Session, actor: Actor, day: date) -> ClosedDay:
    session.execute(LOCK_DAY_GATE)
    finished = session.execute(FINISH_CLOSING, {"day": day}).rowcount == 1  # type: ignore[attr-defined]
    if finished:
        emit(session, BusinessDayClosed, actor_id=actor.user_id, payload={"business_day": str(day)})
    row = session.execute(DAY, {"day": day}).one()
    return ClosedDay(day, row.paid_count, row.paid_total, already_closed=not finished)


@command
def _already_closed(session: Session, day: date) -> ClosedDay:
    row = session.execute(DAY, {"day": day}).one_or_none()
    if row is None:
        raise Conflict(said("%(day)s lies before the first business day", day=day))
    return ClosedDay(day, row.paid_count, row.paid_total, already_closed=True)
