"""Sending mail: leased, retried with backoff, its state always visible, re-sendable by hand."""

from __future__ import annotations

import time
from email.message import EmailMessage
from typing import Any, Literal

import structlog
from sqlalchemy.orm import Session

from app.kernel import audit, settings
from app.kernel.actor import Actor
from app.kernel.db import command, db, sql
from app.kernel.errors import Conflict, NotFound
from app.payments.delivery import (
    TIMEOUT_S,
    DeliveryImpossible,
    DeliveryRefused,
    DeliveryUnknown,
    Postman,
)
from app.payments.message import (
    Envelope,
    MessageRefused,
    closing_message,
    digest_message,
    payout_message,
)
from app.payments.queries import Digest, closing_of, digest_of, payout_of

log = structlog.get_logger(__name__)

LEASE_S = 180
MAX_ATTEMPTS = 8
AT_ONCE = 500
BUDGET_S = 60.0
# After so many mails in a row that no server took, the round ends: the server is away.
GIVE_UP_AFTER = 2
ERROR_MAX_LENGTH = 500

# Takes the next due mail: a queued one, or one whose sender died with it. SKIP LOCKED: each mail
# is taken by one worker, and a later sweep finds what this one skips.
LEASE = sql("""
UPDATE emails e SET state = 'sending', attempts = attempts + 1,
  leased_until = now() + make_interval(secs => :lease_s)
FROM users u
WHERE u.id = e.user_id AND e.id = (
  SELECT id FROM emails
  WHERE (state = 'queued' AND due_at <= now()) OR (state = 'sending' AND leased_until < now())
  ORDER BY due_at, id LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING e.id, e.kind, e.message_id, e.payout_id, e.business_day, e.attempts, e.queued_at,
  e.user_id, e.after_notification, e.up_to_notification, u.login, u.email, u.locale
""")
SENT = sql("""
UPDATE emails SET state = 'sent', sent_at = now(), leased_until = NULL, last_error = NULL
WHERE id = :id AND state = 'sending' AND attempts = :attempts
""")
# Backoff with jitter: about 30 s, 1, 2, 4 … minutes; after the last attempt, or when it can never
# be sent, it needs a person.
NOT_SENT = sql("""
UPDATE emails SET leased_until = NULL, last_error = :error,
  state = CASE WHEN attempts < :max_attempts THEN 'queued' ELSE CAST(:final AS email_state) END,
  due_at = now() + make_interval(secs => 30 * power(2, least(attempts, 12) - 1) * (0.5 + random()))
WHERE id = :id AND state = 'sending' AND attempts = :attempts
""")
# Sends a mail once more, with the Message-ID that it has, and all its attempts before it.
RESEND = sql("""
UPDATE emails SET state = 'queued', due_at = now(), attempts = 0, sent_at = NULL
WHERE id = :id AND state <> 'sending' RETURNING user_id
""")
RESEND_UNSENT = sql("""
UPDATE emails SET state = 'queued', due_at = now(), attempts = 0
WHERE state IN ('failed', 'unknown')
""")
EXISTS = sql("SELECT EXISTS (SELECT FROM emails WHERE id = :id)")


def send_due_mail(
    *, at_once: int = AT_ONCE, budget_s: float = BUDGET_S, timeout_s: float = TIMEOUT_S
) -> int:
    """Send the mails that are due, for about `budget_s` at most; returns how many were sent.

    A mail goes out at least once: where a server took it and the answer was lost, it is sent
    again, with the same Message-ID. A server that is away is left alone until the next round.
    """
    sent = failed_in_a_row = 0
    end_at = time.monotonic() + budget_s
    with Postman(settings.current(), timeout_s=timeout_s) as postman:
        for _ in range(at_once):
            lease = _lease()
            if lease is None:
                break
            outcome = _send(lease, postman)
            sent += outcome == "sent"
            failed_in_a_row = failed_in_a_row + 1 if outcome == "away" else 0
            if failed_in_a_row == GIVE_UP_AFTER or time.monotonic() >= end_at:
                break
    return sent


@command
def resend(session: Session, actor: Actor, email_id: int) -> None:
    """Queue a mail once more, whatever became of it. Raises NotFound; Conflict while it is sent."""
    actor.require("resend_mail")
    row = session.execute(RESEND, {"id": email_id}).one_or_none()
    if row is None:
        if session.execute(EXISTS, {"id": email_id}).scalar_one():
            raise Conflict("This mail is being sent right now")
        raise NotFound("There is no such mail")
    _record(session, actor, subject_id=row.user_id, details={"email_id": email_id})


@command
def resend_unsent(session: Session, actor: Actor) -> int:
    """Queue every mail that failed, or whose fate is not known, once more; returns how many."""
    actor.require("resend_mail")
    count = int(session.execute(RESEND_UNSENT).rowcount)  # type: ignore[attr-defined]
    _record(session, actor, details={"mails": count})
    return count


def _record(
    session: Session, actor: Actor, *, details: dict[str, Any], subject_id: int | None = None
) -> None:
    audit.record(
        session, "resend_mail", actor_id=actor.user_id, subject_id=subject_id, details=details
    )


@command
def _lease(session: Session) -> Any:
    return session.execute(LEASE, {"lease_s": LEASE_S}).one_or_none()


def _send(lease: Any, postman: Postman) -> Literal["sent", "impossible", "away"]:
    try:
        message = _message(db.session(), lease)
        db.session().rollback()  # no transaction stays open while a mail server thinks
        postman.deliver(message)
    except (MessageRefused, DeliveryImpossible) as error:
        _mark_not_sent(lease, "failed", str(error), max_attempts=0)
        return "impossible"
    except DeliveryRefused as error:
        _mark_not_sent(lease, "failed", str(error))
    except DeliveryUnknown as error:
        _mark_not_sent(lease, "unknown", str(error))
    else:
        _mark_sent(lease)
        return "sent"
    return "away"


def _message(session: Session, lease: Any) -> EmailMessage:
    envelope = Envelope(lease.message_id, lease.queued_at, lease.login, lease.email, lease.locale)
    if lease.kind == "payout":
        return payout_message(envelope, payout_of(session, lease.payout_id))
    if lease.kind == "closing":
        return closing_message(envelope, closing_of(session, lease.business_day))
    if lease.kind == "digest":
        return digest_message(envelope, _digest(session, lease))
    raise MessageRefused(f"nobody knows how to write a mail of kind {lease.kind!r}")


def _digest(session: Session, lease: Any) -> Digest:
    return digest_of(
        session,
        lease.user_id,
        after=lease.after_notification,
        up_to=lease.up_to_notification,
        timezone=settings.current().business_timezone,
    )


@command
def _mark_sent(session: Session, lease: Any) -> None:
    session.execute(SENT, {"id": lease.id, "attempts": lease.attempts})


@command
def _mark_not_sent(
    session: Session, lease: Any, final: str, error: str, *, max_attempts: int = MAX_ATTEMPTS
) -> None:
    session.execute(
        NOT_SENT,
        {
            "id": lease.id,
            "attempts": lease.attempts,
            "max_attempts": max_attempts,
            "final": final,
            "error": error[:ERROR_MAX_LENGTH],
        },
    )
    log.warning("mail_not_sent", email_id=lease.id, attempts=lease.attempts, error=error)
