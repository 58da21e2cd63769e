"""The tables of the ledger. Amounts are minor units; see the migrations for their rules."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Computed,
    DateTime,
    Enum,
    FetchedValue,
    ForeignKey,
    Identity,
    Text,
)
from sqlalchemy.dialects.postgresql import TSTZRANGE, Range
from sqlalchemy.orm import Mapped, mapped_column

from app.kernel.db import Base


class TaskPrice(Base):
    """The fee and the reward of a task, drawn once."""

    __tablename__ = "task_prices"

    task_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("tasks.id"), primary_key=True)
    assign_price: Mapped[int]
    complete_price: Mapped[int]


class Account(Base):
    """An account: one for each employee, three for the company."""

    __tablename__ = "accounts"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    kind: Mapped[str] = mapped_column(
        Enum(
            "employee",
            "company_income",
            "company_expense",
            "payroll_clearing",
            name="account_kind",
            create_type=False,
        )
    )
    user_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("users.id"), unique=True)
    currency: Mapped[str] = mapped_column(Text)
    balance: Mapped[int | None] = mapped_column(BigInteger)
    version: Mapped[int] = mapped_column(BigInteger, server_default="0")
    opened_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), FetchedValue())


class Transfer(Base):
    """One movement of money between two accounts: never changed, never deleted."""

    __tablename__ = "account_transfers"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    event_id: Mapped[UUID] = mapped_column(unique=True)
    kind: Mapped[str] = mapped_column(
        Enum(
            "assign_fee",
            "completion_reward",
            "payout",
            "reversal",
            name="transfer_kind",
            create_type=False,
        )
    )
    debit_account_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("accounts.id"))
    credit_account_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("accounts.id"))
    owner_account_id: Mapped[int] = mapped_column(BigInteger)
    amount: Mapped[int] = mapped_column(BigInteger)
    delta_balance: Mapped[int] = mapped_column(
        BigInteger,
        Computed(
            "CASE WHEN owner_account_id = credit_account_id THEN amount ELSE -amount END",
            persisted=False,
        ),
    )
    balance_after: Mapped[int] = mapped_column(BigInteger)
    account_version: Mapped[int] = mapped_column(BigInteger)
    timestamp: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    recorded_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), FetchedValue())
    business_day: Mapped[date] = mapped_column(ForeignKey("business_days.day"))
    late: Mapped[bool] = mapped_column(server_default="false")
    task_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("tasks.id"))
    description: Mapped[str | None] = mapped_column(Text)
    reverses_id: Mapped[int | None] = mapped_column(
        BigInteger, ForeignKey("account_transfers.id"), unique=True
    )


class BusinessDay(Base):
    """A calendar day of the business zone: open, closing, or closed with frozen totals."""

    __tablename__ = "business_days"

    day: Mapped[date] = mapped_column(primary_key=True)
    during: Mapped[Range[datetime]] = mapped_column(TSTZRANGE)
    status: Mapped[str] = mapped_column(
        Enum("open", "closing", "closed", name="business_day_status", create_type=False)
    )
    closing_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    closed_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    fees: Mapped[int | None] = mapped_column(BigInteger)
    rewards: Mapped[int | None] = mapped_column(BigInteger)
    paid_total: Mapped[int | None] = mapped_column(BigInteger)
    paid_count: Mapped[int | None]
    debts: Mapped[int | None] = mapped_column(BigInteger)
    debtors: Mapped[int | None]
    sealed_block: Mapped[int | None] = mapped_column(BigInteger)
    handed_over_by: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("users.id"))
