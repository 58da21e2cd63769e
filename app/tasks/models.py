"""The tables of the task tracker, and the rules that need only their own row."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, DateTime, Enum, FetchedValue, ForeignKey, Identity, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.kernel.db import Base
from app.kernel.errors import BadInput
from app.kernel.messages import said

NAME_MAX_LENGTH = 200
DESCRIPTION_MAX_LENGTH = 20_000
_TICKET_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,19}-[0-9]{1,10}")
_TICKET = re.compile(rf"^\s*\[(?P<key>{_TICKET_KEY.pattern})\]\s*(?P<name>.*)$", re.DOTALL)
_SPACES = re.compile(r"\s+")


class Task(Base):
    """A task: a name, a description, an assignee and a state, and nothing more."""

    __tablename__ = "tasks"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    description: Mapped[str] = mapped_column(Text, server_default="")
    ticket_key: Mapped[str | None] = mapped_column(Text)
    assigned_to: Mapped[int] = mapped_column(BigInteger, ForeignKey("users.id"))
    is_finished: Mapped[bool] = mapped_column(server_default="false")
    created_by: Mapped[int] = mapped_column(BigInteger, ForeignKey("users.id"))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), FetchedValue())
    assigned_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), FetchedValue())
    finished_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    assignments: Mapped[int] = mapped_column(server_default="1")


class Log(Base):
    """What happened to a task: append-only."""

    __tablename__ = "logs"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    task_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("tasks.id"))
    timestamp: Mapped[datetime] = mapped_column(DateTime(timezone=True), FetchedValue())
    type: Mapped[str] = mapped_column(
        Enum("create", "assign", "complete", "other", name="log_type", create_type=False)
    )
    description: Mapped[str | None] = mapped_column(Text)
    user_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("users.id"))
    actor_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("users.id"))
    event_id: Mapped[UUID | None] = mapped_column()


@dataclass(frozen=True, slots=True)
class Draft:
    """A task as somebody wrote it down: a name that may carry a ticket key, a description."""

    name: str
    description: str = ""


def is_ticket_key(text: str) -> bool:
    """Whether `text` is a ticket key: KEY-12, in any case."""
    return _TICKET_KEY.fullmatch(text) is not None


def split_name(text: str) -> tuple[str | None, str]:
    """The ticket key and the name in `[KEY-12] Fix the gate`; the key is None without brackets.

    White space is folded and the key is upper-cased. Raises BadInput, with the field `name`, for
    a name that is empty, longer than NAME_MAX_LENGTH, or holds a square bracket elsewhere.
    """
    match = _TICKET.match(text)
    key = match["key"].upper() if match else None
    name = _SPACES.sub(" ", match["name"] if match else text).strip()
    if not name:
        raise BadInput(fields={"name": "Give the task a name"})
    if len(name) > NAME_MAX_LENGTH:
        raise BadInput(fields={"name": said("At most %(count)s characters", count=NAME_MAX_LENGTH)})
    if "[" in name or "]" in name:
        raise BadInput(
            fields={"name": "Square brackets are for a ticket key in front: [KEY-12] Fix the gate"}
        )
    return key, name


def checked_description(text: str) -> str:
    """The description, with line ends as LF. Raises BadInput when it is too long."""
    description = text.replace("\r\n", "\n").replace("\r", "\n").strip()
    if len(description) > DESCRIPTION_MAX_LENGTH:
        raise BadInput(
            fields={
                "description": said("At most %(count)s characters", count=DESCRIPTION_MAX_LENGTH)
            }
        )
    return description
