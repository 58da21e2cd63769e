"""Writing events: always in the transaction of the change that they tell of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy.orm import Session

from app.events import Event
from app.kernel.db import sql
from app.outbox.doorbell import wake_relay

# Writes one event and says its id and time.
EMIT = sql("""
INSERT INTO outbox (type, schema_version, task_id, user_id, actor_id, payload)
VALUES (:type, :version, :task_id, :user_id, :actor_id, CAST(:payload AS jsonb))
RETURNING event_id, occurred_at
""")


class Subscriber(Protocol):
    """What hears an event in the transaction that emits it."""

    def __call__(self, session: Session, event: Any, /) -> None: ...


_same_transaction: dict[type[Event], tuple[Subscriber, ...]] = {}


def subscribe_same_transaction(table: Mapping[type[Event], tuple[Subscriber, ...]]) -> None:
    """Set who hears which event inside the emitting transaction (see app.subscriptions)."""
    _same_transaction.clear()
    _same_transaction.update(table)


def emit(
    session: Session,
    event: type[Event],
    *,
    task_id: int | None = None,
    user_id: int | None = None,
    actor_id: int | None = None,
    payload: Mapping[str, Any] | None = None,
) -> tuple[UUID, datetime]:
    """Write one event of type `event`; returns its id and the time that it occurred."""
    row = session.execute(
        EMIT,
        {
            "type": event.__name__,
            "version": event.version,
            "task_id": task_id,
            "user_id": user_id,
            "actor_id": actor_id,
            "payload": json.dumps(payload or {}),
        },
    ).one()
    wake_relay(session)
    return row.event_id, row.occurred_at


def announce(
    session: Session,
    event: type[Event],
    *,
    user_id: int | None = None,
    actor_id: int | None = None,
    payload: Mapping[str, Any] | None = None,
) -> None:
    """Emit an event and let its same-transaction subscribers act on it before the commit."""
    event_id, occurred_at = emit(
        session, event, user_id=user_id, actor_id=actor_id, payload=payload
    )
    known: dict[str, Any] = {
        "event_id": event_id,
        "occurred_at": occurred_at,
        "user_id": user_id,
        "actor_id": actor_id,
    }
    heard = event(**{field.name: known[field.name] for field in fields(event)})
    for subscriber in _same_transaction.get(event, ()):
        subscriber(session, heard)


def emit_from(event: type[Event], source: str) -> str:
    """SQL that writes one event of type `event` per row of the CTE `source`.

    `source` must have the columns event_id, task_id, user_id, actor_id and occurred_at. For
    set-based commands, whose change and events are one statement; they call `wake_relay` too.
    """
    return (
        "INSERT INTO outbox"
        " (event_id, type, schema_version, task_id, user_id, actor_id, occurred_at)"
        f" SELECT event_id, '{event.__name__}', {event.version},"
        f" task_id, user_id, actor_id, occurred_at FROM {source}"
    )
