"""Decisions about dead letters of one kind: deliver them again, or give them up. Audited."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from app.guardian import queries
from app.kernel import audit
from app.kernel.actor import Actor
from app.kernel.db import command
from app.kernel.errors import NotFound
from app.outbox import dead_letters, wake_relay
from app.outbox.jobs import consumer_named


def retry_letters(actor: Actor, *, consumer: str, fingerprint: str) -> tuple[int, int]:
    """Deliver the parked letters of a kind again; returns how many were taken, and how many not.

    Each is a transaction of its own. Raises NotFound when none is parked.
    """
    actor.require("settle_dead_letters")
    chosen = consumer_named(consumer)
    if chosen is None:
        raise NotFound("No such dead letter is parked")
    ids = _parked(consumer, fingerprint)
    taken = sum(dead_letters.retry(chosen, letter_id, actor=actor) for letter_id in ids)
    _record(actor, "retry_dead_letters", consumer, {"ids": ids, "taken": taken})
    return taken, len(ids) - taken


@command
def discard_letters(
    session: Session, actor: Actor, *, consumer: str, fingerprint: str, reason: str
) -> int:
    """Give the parked letters of a kind up, all or none; returns how many.

    Raises BadInput without a reason, NotFound when none is parked.
    """
    actor.require("settle_dead_letters")
    ids = _parked(consumer, fingerprint)
    for letter_id in ids:
        dead_letters.discard(letter_id, reason=reason, actor=actor)
    _record(actor, "discard_dead_letters", consumer, {"ids": ids, "reason": reason})
    wake_relay(session)
    return len(ids)


@command
def retry_letter(_session: Session, actor: Actor | None, *, letter_id: int) -> bool:
    """Deliver one parked letter again; whether it was taken. Raises NotFound.

    `actor` is None for the command line.
    """
    consumer = dead_letters.consumer_of(letter_id)
    chosen = consumer_named(consumer)
    if chosen is None:
        raise NotFound("No such dead letter is parked")
    taken = dead_letters.retry(chosen, letter_id, actor=actor)
    _record(actor, "retry_dead_letters", consumer, {"ids": [letter_id], "taken": int(taken)})
    return taken


@command
def discard_letter(_session: Session, actor: Actor | None, *, letter_id: int, reason: str) -> None:
    """Give one parked letter up. Raises BadInput without a reason, NotFound."""
    consumer = dead_letters.consumer_of(letter_id)
    dead_letters.discard(letter_id, reason=reason, actor=actor)
    _record(actor, "discard_dead_letters", consumer, {"ids": [letter_id], "reason": reason})


@command
def _parked(session: Session, consumer: str, fingerprint: str) -> list[int]:
    ids = queries.parked_of(session, consumer, fingerprint)
    if not ids:
        raise NotFound("No such dead letter is parked")
    return ids


@command
def _record(
    session: Session, actor: Actor | None, action: str, consumer: str, details: dict[str, Any]
) -> None:
    said = {"consumer": consumer, **details}
    audit.record(session, action, actor_id=actor.user_id if actor else None, details=said)
