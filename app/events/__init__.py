"""The events: the only contract between contexts. Names are past tense, versions are numbers.

An event's columns in the outbox are `type`, `schema_version`, `task_id`, `user_id` (the employee
whom it concerns), `actor_id` and `occurred_at`; what else it says is in `payload`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, ClassVar, NamedTuple, Self
from uuid import UUID


class MalformedEvent(Exception):
    """A stored event cannot be read: its type or version is unknown, or a field is missing."""


class StoredEvent(NamedTuple):
    """A row of the outbox, as it was written."""

    xid: int
    id: int
    event_id: UUID
    type: str
    schema_version: int
    task_id: int | None
    user_id: int | None
    actor_id: int | None
    occurred_at: datetime
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What every event says: which one it is and when it happened."""

    version: ClassVar[int] = 1
    event_id: UUID
    occurred_at: datetime

    @classmethod
    def read(cls, stored: StoredEvent) -> Self:
        """The event in `stored`. Raises MalformedEvent when something that it needs is missing."""
        values = {name: _said(stored, name) for name in _NEEDED[cls]}
        for name, value in values.items():
            if value is None:
                raise MalformedEvent(f"{stored.type} without {name}")
        return cls(**values)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskCreated(Event):
    """A task was created and assigned to its first assignee, `user_id`."""

    task_id: int
    user_id: int
    actor_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskAssigned(Event):
    """An open task was assigned again, to `user_id` (who may be the assignee it had)."""

    task_id: int
    user_id: int
    actor_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskCompleted(Event):
    """A task was completed by its assignee, `user_id`."""

    task_id: int
    user_id: int
    actor_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UserRegistered(Event):
    """A person or a service got an account in aTES."""

    user_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EmployeeUnassignable(Event):
    """An employee was deactivated, or given a role that cannot be assigned tasks."""

    user_id: int
    actor_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PayoutMade(Event):
    """An employee was paid the balance of a business day that was closed."""

    user_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferReversed(Event):
    """A transfer of an employee's was reversed by a linked one (`transfer_id` in the payload)."""

    user_id: int
    actor_id: int
    correction_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectionRequested(Event):
    """The reversal of a transfer of an employee's was asked for: somebody else decides on it."""

    user_id: int
    actor_id: int
    correction_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectionRefused(Event):
    """A correction was refused, or taken back by who had asked for it; nothing was moved."""

    user_id: int
    actor_id: int
    correction_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BusinessDayClosed(Event):
    """A business day was closed: all of it is posted and paid."""


EVENTS: tuple[type[Event], ...] = (
    TaskCreated,
    TaskAssigned,
    TaskCompleted,
    UserRegistered,
    EmployeeUnassignable,
    PayoutMade,
    TransferReversed,
    CorrectionRequested,
    CorrectionRefused,
    BusinessDayClosed,
)
_NEEDED = {event: tuple(field.name for field in fields(event)) for event in EVENTS}
BY_TYPE_AND_VERSION: dict[tuple[str, int], type[Event]] = {
    (event.__name__, event.version): event for event in EVENTS
}


def _said(stored: StoredEvent, name: str) -> Any:
    """What the event says under `name`: in a column, else in its payload."""
    return getattr(stored, name) if name in stored._fields else stored.payload.get(name)


def read(stored: StoredEvent) -> Event:
    """The event in `stored`. Raises MalformedEvent for an unknown type or version."""
    event = BY_TYPE_AND_VERSION.get((stored.type, stored.schema_version))
    if event is None:
        raise MalformedEvent(f"unknown event {stored.type} version {stored.schema_version}")
    return event.read(stored)
