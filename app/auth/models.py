"""The `users` table as the ORM sees it; sessions, tokens and the rest are plain SQL."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Enum, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.kernel.db import Base
from app.kernel.policy import Role

ROLE = Enum(Role, name="user_role", values_callable=lambda roles: [role.value for role in roles])


class User(Base):
    """A person or a service with an account. `hash` is a PHC string; a service has none."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    role: Mapped[Role] = mapped_column(ROLE)
    login: Mapped[str] = mapped_column(Text)
    email: Mapped[str] = mapped_column(Text)
    hash: Mapped[str | None] = mapped_column(Text)
    is_active: Mapped[bool]
    is_assignable: Mapped[bool]
    locale: Mapped[str | None] = mapped_column(Text)
    theme: Mapped[str | None] = mapped_column(Text)
    time_zone: Mapped[str | None] = mapped_column(Text)
    shortcuts: Mapped[bool]
    digest: Mapped[str] = mapped_column(Text, server_default="off")
    created_at: Mapped[datetime]
