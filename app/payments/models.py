"""The table of mails."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import BigInteger, DateTime, Enum, FetchedValue, ForeignKey, Identity, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.kernel.db import Base


class Email(Base):
    """A mail that is to be sent, or was: its Message-ID stays the same at every attempt."""

    __tablename__ = "emails"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    dedupe_key: Mapped[str] = mapped_column(Text, unique=True)
    message_id: Mapped[str] = mapped_column(Text)
    user_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("users.id"))
    kind: Mapped[str] = mapped_column(Text)
    payout_id: Mapped[int | None] = mapped_column(BigInteger)
    business_day: Mapped[date | None]
    after_notification: Mapped[int | None] = mapped_column(BigInteger)
    up_to_notification: Mapped[int | None] = mapped_column(BigInteger)
    state: Mapped[str] = mapped_column(
        Enum(
            "queued", "sending", "sent", "failed", "unknown", name="email_state", create_type=False
        )
    )
    attempts: Mapped[int] = mapped_column(server_default="0")
    queued_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), FetchedValue())
    due_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), FetchedValue())
    leased_until: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    sent_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    last_error: Mapped[str | None] = mapped_column(Text)
