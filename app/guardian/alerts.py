"""Alerts: told to people by mail and to a webhook, on a path that an emergency stop leaves open.

An alert is a row, written with what it tells of, and sent after that commit by whoever wrote it;
what a channel did not take is tried again by the guardian's rounds. A channel may be told twice.
"""

from __future__ import annotations

import hashlib
import json
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from typing import Any

import structlog
from sqlalchemy.orm import Session

from app.kernel import settings
from app.kernel.db import command, sql

log = structlog.get_logger(__name__)

AT_ONCE = 10
MAX_ATTEMPTS = 20
WEBHOOK_TIMEOUT_S = 3
SUBJECT_MAX_LENGTH = 200
BODY_MAX_LENGTH = 10_000
ERROR_MAX_LENGTH = 500

WRITE = sql("INSERT INTO alerts (kind, subject, body) VALUES (:kind, :subject, :body)")
# Takes alerts that a channel has not got, and puts them off: 5 s, 10 s, 20 s … an hour at most.
TAKE = sql("""
UPDATE alerts SET attempts = attempts + 1,
  due_at = now() + least(interval '1 hour', interval '5 seconds' * power(2, least(attempts, 10)))
WHERE id IN (
  SELECT id FROM alerts
  WHERE (mailed_at IS NULL OR (posted_at IS NULL AND :has_webhook))
    AND due_at <= now() AND attempts < :max_attempts
  ORDER BY id LIMIT :limit FOR UPDATE SKIP LOCKED)
RETURNING id, at, kind, subject, body, mailed_at IS NULL AS to_mail,
          posted_at IS NULL AND :has_webhook AS to_post
""")
TOLD = sql("""
UPDATE alerts SET mailed_at = CASE WHEN :mailed THEN now() ELSE mailed_at END,
  posted_at = CASE WHEN :posted THEN now() ELSE posted_at END, last_error = :error
WHERE id = :id
""")
# Who is told by mail where ALERT_MAIL_TO names nobody.
ADMINISTRATORS = sql("""
SELECT email FROM users WHERE role = 'administrator' AND is_active ORDER BY id LIMIT 50
""")


class NotTold(Exception):
    """A channel did not take an alert; it is told again later."""


Mailer = Callable[[EmailMessage], None]
_mailer: Mailer | None = None


def mail_with(mailer: Mailer) -> None:
    """Set what hands an alert's mail over, or raises NotTold (at start)."""
    global _mailer  # noqa: PLW0603 - set once at start
    _mailer = mailer


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert that a channel has not got yet."""

    id: int
    at: datetime
    kind: str
    subject: str
    body: str
    to_mail: bool
    to_post: bool


def write(session: Session, kind: str, subject: str, body: str) -> None:
    """Write an alert in the transaction of what it tells of; `send_due` sends it afterwards."""
    names = {"subject": subject[:SUBJECT_MAX_LENGTH], "body": body[:BODY_MAX_LENGTH]}
    session.execute(WRITE, {"kind": kind, **names})


def send_due() -> int:
    """Send the alerts that are due; returns how many channels took one. Never raises for one."""
    alerts, recipients = _take()
    return sum(_send(alert, recipients) for alert in alerts)


@command
def _take(session: Session) -> tuple[list[Alert], list[str]]:
    chosen = settings.current()
    names = {
        "limit": AT_ONCE,
        "max_attempts": MAX_ATTEMPTS,
        "has_webhook": chosen.alert_webhook_url is not None,
    }
    alerts = [Alert(*row) for row in session.execute(TAKE, names).all()]
    if not alerts or chosen.alert_mail_to:
        return alerts, list(chosen.alert_mail_to)
    return alerts, list(session.execute(ADMINISTRATORS).scalars())


def _send(alert: Alert, recipients: list[str]) -> int:
    mail_error = _mail(alert, recipients) if alert.to_mail else None
    post_error = _post(alert) if alert.to_post else None
    mailed, posted = alert.to_mail and not mail_error, alert.to_post and not post_error
    error = "; ".join(each for each in (mail_error, post_error) if each)
    if error:
        log.warning("alert_not_sent", alert_id=alert.id, error=error)
    _mark(alert.id, mailed=mailed, posted=posted, error=error[:ERROR_MAX_LENGTH] or None)
    return int(mailed) + int(posted)


@command
def _mark(
    session: Session, alert_id: int, *, mailed: bool, posted: bool, error: str | None
) -> None:
    session.execute(TOLD, {"id": alert_id, "mailed": mailed, "posted": posted, "error": error})


def _mail(alert: Alert, recipients: list[str]) -> str | None:
    """What went wrong, or None."""
    if not recipients:
        return "mail: there is no administrator, and ALERT_MAIL_TO is not set"
    if _mailer is None:
        return "mail: nothing was set up to send it"
    try:
        for recipient in recipients:
            _mailer(_message(alert, recipient))
    except NotTold as error:
        return f"mail: {error}"
    return None


def _message(alert: Alert, recipient: str) -> EmailMessage:
    """One mail to one person, with a Message-ID that is the same at each attempt."""
    chosen = settings.current()
    message = EmailMessage(policy=SMTP)
    message["From"] = chosen.mail_from
    message["To"] = recipient
    message["Subject"] = alert.subject
    whose = hashlib.sha256(recipient.encode()).hexdigest()[:12]
    message["Message-ID"] = f"<alert-{alert.id}-{whose}@ates>"
    message["Auto-Submitted"] = "auto-generated"
    message["X-Priority"] = "1"
    message.set_content(f"{alert.body}\n\n{chosen.public_url}/system\n")
    return message


def _post(alert: Alert) -> str | None:
    """What went wrong, or None."""
    url = settings.current().alert_webhook_url or ""
    said: dict[str, Any] = {
        "id": alert.id,
        "at": alert.at.isoformat(),
        "kind": alert.kind,
        "subject": alert.subject,
        "text": alert.body,
        "url": f"{settings.current().public_url}/system",
    }
    headers = {"Content-Type": "application/json"}
    # The address is the operator's setting, checked to be http or https at start.
    request = urllib.request.Request(url, json.dumps(said).encode(), headers)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=WEBHOOK_TIMEOUT_S):  # noqa: S310
            return None
    except OSError as error:
        return f"webhook: {type(error).__name__}: {error}"
