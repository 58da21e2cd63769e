"""The tables of what people are told, and how far each has read."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, DateTime, Enum, ForeignKey, Identity
from sqlalchemy.orm import Mapped, mapped_column

from app.kernel.db import Base

# In the order in which a line tells of them. Kept: drawn again, and charged again.
# Asked: a correction waits for the reader's approval; approved, refused: what became of the
# reader's own.
KINDS = ("given", "kept", "taken", "paid", "corrected", "asked", "approved", "refused")
# Older ones are forgotten; and what happened longer ago is not told, so that a replay of the whole
# log brings nothing back.
KEEP_DAYS = 60


class Notification(Base):
    """A line: what one cause did to one person, as counts by kind."""

    __tablename__ = "notifications"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    user_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("users.id"))
    actor_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("users.id"))
    occurred_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    given: Mapped[int] = mapped_column(server_default="0")
    kept: Mapped[int] = mapped_column(server_default="0")
    taken: Mapped[int] = mapped_column(server_default="0")
    paid: Mapped[int] = mapped_column(server_default="0")
    corrected: Mapped[int] = mapped_column(server_default="0")
    asked: Mapped[int] = mapped_column(server_default="0")
    approved: Mapped[int] = mapped_column(server_default="0")
    refused: Mapped[int] = mapped_column(server_default="0")


class NotificationEvent(Base):
    """An event that a line tells of: to the same person and in the same kind, once."""

    __tablename__ = "notification_events"

    event_id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    kind: Mapped[str] = mapped_column(
        Enum(*KINDS, name="notification_kind", create_type=False), primary_key=True
    )
    notification_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("notifications.id"))
    task_id: Mapped[int | None] = mapped_column(BigInteger)
    correction_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("corrections.id"))


class NotificationReader(Base):
    """How far a person has read, and how far their digests have told them."""

    __tablename__ = "notification_readers"

    user_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("users.id"), primary_key=True)
    read_up_to: Mapped[int] = mapped_column(BigInteger, server_default="0")
    mailed_up_to: Mapped[int] = mapped_column(BigInteger, server_default="0")
