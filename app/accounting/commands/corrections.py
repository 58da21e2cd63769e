"""Corrections: a transfer is reversed by a linked one, once, for a reason, by two people.

An accountant asks; a second accountant or an administrator approves. Where there is neither, the
one who asks decides alone, and the correction says so. Nothing is edited or deleted: a reversal
counts on the business day that is open.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.accounting.commands.closing import OPEN_DAY
from app.events import CorrectionRefused, CorrectionRequested, Event, TransferReversed
from app.kernel import audit, settings
from app.kernel.actor import Actor
from app.kernel.db import command, sql
from app.kernel.errors import BadInput, Conflict, Forbidden, NotFound
from app.kernel.messages import said
from app.outbox import emit

TEXT_MAX_LENGTH = 400

TRANSFER = sql("""
SELECT t.id, t.kind, t.owner_account_id, t.task_id, a.user_id
FROM account_transfers t JOIN accounts a ON a.id = t.owner_account_id WHERE t.id = :transfer_id
""")
# Whether somebody else could approve what `actor_id` asks for.
SECOND_PERSON = sql("""
SELECT EXISTS (SELECT FROM users WHERE is_active AND id <> :actor_id
               AND role IN ('accountant', 'administrator'))
""")
REQUEST = sql("""
INSERT INTO corrections (transfer_id, reason, requested_by)
VALUES (:transfer_id, :reason, :actor_id) RETURNING id
""")
# A correction, locked, so that it is decided once.
CORRECTION = sql("""
SELECT id, transfer_id, reason, state, requested_by FROM corrections
WHERE id = :correction_id FOR UPDATE
""")
DECIDE = sql("""
UPDATE corrections SET state = CAST(:state AS correction_state), decided_by = :actor_id,
  decided_at = business_now(), decided_alone = :alone, note = :note, reversal_id = :reversal_id
WHERE id = :correction_id
""")
# The day gate and the account, in the order in which a posting takes them.
SHARE_DAY_GATE = sql("SELECT pg_advisory_xact_lock_shared(1)")
LOCK_ACCOUNT = sql("SELECT FROM accounts WHERE id = :account_id FOR NO KEY UPDATE")
OPEN_BUSINESS_DAY = sql("""
SELECT greatest((business_now() AT TIME ZONE :timezone)::date,
  (SELECT day + 1 FROM business_days WHERE status <> 'open' ORDER BY day DESC LIMIT 1))
""")
# Moves the same amount between the same accounts the other way; balances and roll-ups follow.
REVERSE = sql("""
WITH original AS MATERIALIZED (
  SELECT t.*, a.balance, a.version FROM account_transfers t
  JOIN accounts a ON a.id = t.owner_account_id
  WHERE t.id = :transfer_id AND t.kind <> 'reversal'
), posted AS (
  INSERT INTO account_transfers (event_id, kind, debit_account_id, credit_account_id,
    owner_account_id, amount, balance_after, account_version, timestamp, business_day, task_id,
    description, reverses_id)
  SELECT :event_id, 'reversal', credit_account_id, debit_account_id, owner_account_id, amount,
         balance - delta_balance, version + 1, business_now(), :day, task_id, :reason, id
  FROM original
  RETURNING id
), moved AS (
  UPDATE accounts a SET balance = a.balance - o.delta_balance, version = a.version + 1
  FROM original o WHERE a.id = o.owner_account_id
), sums AS MATERIALIZED (
  SELECT owner_account_id, CASE kind WHEN 'payout' THEN 0 ELSE -delta_balance END AS corrected,
         CASE kind WHEN 'payout' THEN -delta_balance ELSE 0 END AS returned FROM original
), by_account AS (
  INSERT INTO account_days AS d
    (account_id, business_day, corrections, payouts_reversed, transfers)
  SELECT owner_account_id, :day, corrected, returned, 1 FROM sums
  ON CONFLICT (account_id, business_day) DO UPDATE SET
    corrections = d.corrections + excluded.corrections,
    payouts_reversed = d.payouts_reversed + excluded.payouts_reversed, transfers = d.transfers + 1
), by_day AS (
  INSERT INTO ledger_days AS d (business_day, corrections, payouts_reversed, transfers)
  SELECT :day, corrected, returned, 1 FROM sums
  ON CONFLICT (business_day) DO UPDATE SET
    corrections = d.corrections + excluded.corrections,
    payouts_reversed = d.payouts_reversed + excluded.payouts_reversed, transfers = d.transfers + 1
)
SELECT id FROM posted
""")


@dataclass(frozen=True, slots=True)
class Correction:
    """What became of a correction; `reversal_id` is the transfer that reversed, once there is."""

    id: int
    state: str
    reversal_id: int | None


@command
def request_correction(
    session: Session, actor: Actor, transfer_id: int, *, reason: str
) -> Correction:
    """Ask for the reversal of a transfer; where nobody could approve it, reverse it at once.

    Raises BadInput without a reason, NotFound, and Conflict for a reversal or a transfer that is
    reversed, or asked to be, already.
    """
    actor.require("correct_transfers")
    reason = _text(reason, "reason", required=True)
    transfer = session.execute(TRANSFER, {"transfer_id": transfer_id}).one_or_none()
    if transfer is None:
        raise NotFound("There is no such transfer")
    if transfer.kind == "reversal":
        raise Conflict("A reversal cannot be reversed")
    names = {"transfer_id": transfer_id, "reason": reason, "actor_id": actor.user_id}
    try:
        with session.begin_nested():
            correction_id = session.execute(REQUEST, names).scalar_one()
    except IntegrityError as error:
        raise Conflict("This transfer is reversed, or asked to be, already") from error
    _record(session, actor, "request_correction", transfer.user_id, names | {"id": correction_id})
    if session.execute(SECOND_PERSON, {"actor_id": actor.user_id}).scalar_one():
        _tell(session, actor, CorrectionRequested, transfer, correction_id)
        return Correction(correction_id, "requested", None)
    return _reverse(session, actor, _locked(session, correction_id), alone=True)


@command
def approve_correction(session: Session, actor: Actor, correction_id: int) -> Correction:
    """Reverse the transfer of a correction that somebody else asked for.

    Raises NotFound, Conflict when it is decided already, and Forbidden for one's own, unless
    nobody else could approve it.
    """
    actor.require("approve_corrections")
    correction = _locked(session, correction_id)
    alone = correction.requested_by == actor.user_id
    if alone and session.execute(SECOND_PERSON, {"actor_id": actor.user_id}).scalar_one():
        raise Forbidden("Somebody else has to approve what you asked for")
    return _reverse(session, actor, correction, alone=alone)


@command
def refuse_correction(
    session: Session, actor: Actor, correction_id: int, *, note: str = ""
) -> Correction:
    """Refuse a correction, or take one's own back. Raises NotFound, or Conflict when decided."""
    actor.require("approve_corrections")
    correction = _locked(session, correction_id)
    note = _text(note, "note", required=False)
    _decide(session, actor, correction_id, state="refused", note=note or None)
    _record(session, actor, "refuse_correction", None, {"id": correction_id})
    transfer = session.execute(TRANSFER, {"transfer_id": correction.transfer_id}).one()
    _tell(session, actor, CorrectionRefused, transfer, correction_id)
    return Correction(correction.id, "refused", None)


def _locked(session: Session, correction_id: int) -> Any:
    row = session.execute(CORRECTION, {"correction_id": correction_id}).one_or_none()
    if row is None:
        raise NotFound("There is no such correction")
    if row.state != "requested":
        raise Conflict("This correction is decided already")
    return row


def _reverse(session: Session, actor: Actor, correction: Any, *, alone: bool) -> Correction:
    transfer = session.execute(TRANSFER, {"transfer_id": correction.transfer_id}).one()
    event_id = _tell(session, actor, TransferReversed, transfer, correction.id)
    reversal_id = _post(session, transfer, event_id, correction.reason)
    _decide(session, actor, correction.id, state="done", alone=alone, reversal_id=reversal_id)
    details = {"id": correction.id, "transfer_id": transfer.id, "reversal_id": reversal_id}
    _record(session, actor, "reverse_transfer", transfer.user_id, details)
    return Correction(correction.id, "done", reversal_id)


def _tell(
    session: Session, actor: Actor, event: type[Event], transfer: Any, correction_id: int
) -> UUID:
    event_id, _ = emit(
        session,
        event,
        task_id=transfer.task_id,
        user_id=transfer.user_id,
        actor_id=actor.user_id,
        payload={"transfer_id": transfer.id, "correction_id": correction_id},
    )
    return event_id


def _post(session: Session, transfer: Any, event_id: UUID, reason: str) -> int:
    timezone = settings.current().business_timezone
    session.execute(SHARE_DAY_GATE)
    session.execute(LOCK_ACCOUNT, {"account_id": transfer.owner_account_id})
    day = session.execute(OPEN_BUSINESS_DAY, {"timezone": timezone}).scalar_one()
    session.execute(OPEN_DAY, {"day": day, "timezone": timezone})
    names = {"transfer_id": transfer.id, "event_id": event_id, "day": day, "reason": reason}
    return int(session.execute(REVERSE, names).scalar_one())


def _decide(
    session: Session,
    actor: Actor,
    correction_id: int,
    *,
    state: str,
    alone: bool = False,
    note: str | None = None,
    reversal_id: int | None = None,
) -> None:
    session.execute(
        DECIDE,
        {
            "correction_id": correction_id,
            "actor_id": actor.user_id,
            "state": state,
            "alone": alone,
            "note": note,
            "reversal_id": reversal_id,
        },
    )


def _record(
    session: Session, actor: Actor, action: str, subject_id: int | None, details: dict[str, Any]
) -> None:
    audit.record(session, action, actor_id=actor.user_id, subject_id=subject_id, details=details)


def _text(text: str, field: str, *, required: bool) -> str:
    text = text.strip()
    if required and not text:
        raise BadInput(fields={field: "Give a reason"})
    if len(text) > TEXT_MAX_LENGTH:
        raise BadInput(fields={field: said("At most %(count)s characters", count=TEXT_MAX_LENGTH)})
    if "\x00" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise BadInput(fields={field: "Some characters cannot be stored"})
    return text
