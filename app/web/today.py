"""The business day that goes on, as a page sees it."""

from __future__ import annotations

from datetime import date

from flask import g

from app.kernel import clock, settings
from app.kernel.db import db


def remember_today(today: date) -> None:
    """Another statement of this request has told the day already."""
    g.business_today = today


def business_today() -> date:
    """The business day that goes on; the database is asked once a request."""
    if "business_today" not in g:
        g.business_today = clock.today(db.session(), settings.current().business_timezone)
    today: date = g.business_today
    return today
