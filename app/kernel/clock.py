"""The one clock. Time is the database's; a demo company's clock may run ahead or behind.

`business_now()` is the SQL side: the transaction's timestamp plus the demo's shift (zero
elsewhere). Security limits (sessions, tokens, leases) use `now()` and never the shift.
"""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy.orm import Session

from app.kernel.db import sql

BUSINESS_NOW = sql("SELECT business_now()")
BUSINESS_TODAY = sql("SELECT (business_now() AT TIME ZONE :timezone)::date")
START_OF_DAY = sql("SELECT CAST(:day AS date)::timestamp AT TIME ZONE :timezone")
# Moves the clock so that it shows `moment` now.
SET_CLOCK = sql("UPDATE business_clock SET shift = CAST(:moment AS timestamptz) - now()")
RESET_CLOCK = sql("UPDATE business_clock SET shift = interval '0'")


def now(session: Session) -> datetime:
    """The business time of the session's transaction, with its time zone."""
    moment: datetime = session.execute(BUSINESS_NOW).scalar_one()
    return moment


def today(session: Session, timezone: str) -> date:
    """The calendar day in `timezone` that the business is in."""
    day: date = session.execute(BUSINESS_TODAY, {"timezone": timezone}).scalar_one()
    return day


def start_of(session: Session, day: date, timezone: str) -> datetime:
    """The moment when the calendar day `day` begins in `timezone`."""
    names = {"day": day, "timezone": timezone}
    moment: datetime = session.execute(START_OF_DAY, names).scalar_one()
    return moment


def move_to(session: Session, moment: datetime) -> None:
    """Demo only (its callers check the setting): make the clock show `moment` from now on."""
    session.execute(SET_CLOCK, {"moment": moment})


def reset(session: Session) -> None:
    """Demo only (its callers check the setting): make the clock show the real time."""
    session.execute(RESET_CLOCK)
