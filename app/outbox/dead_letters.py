"""Dead letters: events that a consumer could not take, set aside so that the others go on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from app.events import MalformedEvent, StoredEvent, read
from app.kernel.actor import Actor
from app.kernel.db import command, sql
from app.kernel.errors import BadInput, NotFound
from app.outbox.relay import CAUSE_MAX_LENGTH, Consumer, keep_short

RETRIES_AT_ONCE = 100
REASON_MAX_LENGTH = 500

# Parked letters whose time has come, one relay's at a time.
DUE = sql("""
SELECT id FROM dead_letters
WHERE consumer = :consumer AND state = 'parked' AND retry_at <= now()
ORDER BY retry_at LIMIT :limit
""")
LETTER = sql("""
SELECT d.id, o.xid::text, o.id AS outbox_id, o.event_id, o.type, o.schema_version, o.task_id,
       o.user_id, o.actor_id, o.occurred_at, o.payload
FROM dead_letters d JOIN outbox o ON o.xid = d.xid AND o.id = d.outbox_id
WHERE d.id = :id AND d.consumer = :consumer AND d.state = 'parked' FOR UPDATE OF d
""")
RETRIED = sql("""
UPDATE dead_letters SET state = 'retried', settled_at = now(), settled_by = :actor_id,
  attempts = attempts + 1
WHERE id = :id
""")
# Backoff: 1, 2, 4 … minutes, a day at most.
FAILED_AGAIN = sql("""
UPDATE dead_letters SET attempts = attempts + 1, cause = :cause,
  retry_at = now() + least(interval '1 day', interval '1 minute' * power(2, least(attempts, 20)))
WHERE id = :id
""")
DISCARD = sql("""
UPDATE dead_letters SET state = 'discarded', settled_at = now(), settled_by = :actor_id,
  reason = :reason
WHERE id = :id AND state = 'parked'
""")
CONSUMER_OF = sql("SELECT consumer FROM dead_letters WHERE id = :id AND state = 'parked'")
LIST = sql("""
SELECT d.id, d.consumer, d.event_id, d.type, d.cause, d.fingerprint, d.state, d.attempts,
       d.parked_at, d.retry_at, d.reason
FROM dead_letters d WHERE (NOT :parked OR d.state = 'parked') ORDER BY d.id DESC LIMIT :limit
""")


def retry_due(consumer: Consumer) -> int:
    """Try the letters of `consumer` whose time has come; returns how many were delivered."""
    due = _due(consumer.name)
    return sum(retry(consumer, letter_id) for letter_id in due)


@command
def _due(session: Session, consumer: str) -> list[int]:
    names = {"consumer": consumer, "limit": RETRIES_AT_ONCE}
    return list(session.execute(DUE, names).scalars())


@command
def retry(
    session: Session, consumer: Consumer, letter_id: int, *, actor: Actor | None = None
) -> bool:
    """Deliver a parked event again; returns whether the consumer took it.

    One that was parked because nobody knew its type, and that turns out to be none of the
    consumer's, is done with. Raises NotFound when no letter of that id is parked for `consumer`.
    """
    keep_short(session, consumer)
    row = session.execute(LETTER, {"id": letter_id, "consumer": consumer.name}).one_or_none()
    if row is None:
        raise NotFound("No such dead letter is parked")
    try:
        event = read(StoredEvent(int(row[1]), *row[2:]))
        if isinstance(event, consumer.hears):
            with session.begin_nested():
                consumer.post(session, [event])
    except (MalformedEvent, DBAPIError, AssertionError, ValueError) as error:
        cause = f"{type(error).__name__}: {getattr(error, 'orig', None) or error}"
        session.execute(FAILED_AGAIN, {"id": letter_id, "cause": cause[:CAUSE_MAX_LENGTH]})
        return False
    session.execute(RETRIED, {"id": letter_id, "actor_id": actor.user_id if actor else None})
    return True


@command
def consumer_of(session: Session, letter_id: int) -> str:
    """The name of the consumer that a letter is parked for. Raises NotFound."""
    name: str | None = session.execute(CONSUMER_OF, {"id": letter_id}).scalar()
    if name is None:
        raise NotFound("No such dead letter is parked")
    return name


@command
def discard(session: Session, letter_id: int, *, reason: str, actor: Actor | None = None) -> None:
    """Give a parked event up, with a reason. Raises BadInput without one, NotFound without it."""
    if not 0 < len(reason.strip()) <= REASON_MAX_LENGTH:
        raise BadInput(
            fields={"reason": f"Give a reason of at most {REASON_MAX_LENGTH} characters"}
        )
    names = {"id": letter_id, "reason": reason, "actor_id": actor.user_id if actor else None}
    if session.execute(DISCARD, names).rowcount != 1:  # type: ignore[attr-defined]
        raise NotFound("No such dead letter is parked")


def letters(session: Session, *, parked_only: bool = True, limit: int = 100) -> Sequence[Any]:
    """Dead letters, newest first."""
    return session.execute(LIST, {"parked": parked_only, "limit": limit}).all()
