"""Sending the mail that payouts queued: leased, retried with backoff, its state always visible."""

from __future__ import annotations

from typing import Any

import structlog
from sqlalchemy.orm import Session

from app.kernel import settings
from app.kernel.db import command, db, sql
from app.payments.delivery import DeliveryRefused, DeliveryUnknown, deliver
from app.payments.message import payout_message
from app.payments.queries import payout_of

log = structlog.get_logger(__name__)

LEASE_S = 60
MAX_ATTEMPTS = 8
AT_ONCE = 20
ERROR_MAX_LENGTH = 500

# Takes due mails: queued ones, and those whose sender died with them. SKIP LOCKED: each mail is
# taken by one worker, and a later sweep finds what this one skips.
LEASE = sql("""
UPDATE emails SET state = 'sending', attempts = attempts + 1,
  leased_until = now() + make_interval(secs => :lease_s)
WHERE id IN (
  SELECT id FROM emails
  WHERE (state = 'queued' AND due_at <= now()) OR (state = 'sending' AND leased_until < now())
  ORDER BY due_at, id LIMIT :limit FOR UPDATE SKIP LOCKED)
RETURNING id, message_id, payout_id, attempts
""")
SENT = sql("""
UPDATE emails SET state = 'sent', sent_at = now(), leased_until = NULL, last_error = NULL
WHERE id = :id AND state = 'sending' AND attempts = :attempts
""")
# Backoff with jitter: about 30 s, 1, 2, 4 … minutes; after the last attempt it needs a person.
NOT_SENT = sql("""
UPDATE emails SET leased_until = NULL, last_error = :error,
  state = CASE WHEN attempts < :max_attempts THEN 'queued' ELSE CAST(:final AS email_state) END,
  due_at = now() + make_interval(secs => 30 * power(2, attempts - 1) * (0.5 + random()))
WHERE id = :id AND state = 'sending' AND attempts = :attempts
""")


def send_due_mail(*, at_once: int = AT_ONCE) -> int:
    """Send the mails that are due, at most `at_once`; returns how many were sent.

    A mail goes out at least once: where a server took it and the answer was lost, it is sent
    again, with the same Message-ID.
    """
    return sum(_send(lease) for lease in _lease(at_once))


@command
def _lease(session: Session, limit: int) -> list[Any]:
    return list(session.execute(LEASE, {"limit": limit, "lease_s": LEASE_S}).all())


def _send(lease: Any) -> bool:
    chosen = settings.current()
    payout = payout_of(db.session(), lease.payout_id)
    db.session().rollback()  # no transaction stays open while a mail server thinks
    message = payout_message(payout, message_id=lease.message_id, sender=chosen.mail_from)
    try:
        deliver(message, chosen)
    except DeliveryRefused as error:
        _mark_not_sent(lease, "failed", str(error))
    except DeliveryUnknown as error:
        _mark_not_sent(lease, "unknown", str(error))
    else:
        _mark_sent(lease)
        return True
    return False


@command
def _mark_sent(session: Session, lease: Any) -> None:
    session.execute(SENT, {"id": lease.id, "attempts": lease.attempts})


@command
def _mark_not_sent(session: Session, lease: Any, final: str, error: str) -> None:
    names = {"id": lease.id, "attempts": lease.attempts, "max_attempts": MAX_ATTEMPTS}
    session.execute(NOT_SENT, {**names, "final": final, "error": error[:ERROR_MAX_LENGTH]})
    log.warning("mail_not_sent", email_id=lease.id, attempts=lease.attempts, error=error)
