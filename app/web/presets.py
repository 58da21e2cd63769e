"""The periods that every page with a period offers by name."""

from __future__ import annotations

from datetime import timedelta

from flask_babel import gettext

from app.kernel.periods import Period, named_period
from app.web.today import business_today

DEFAULT_DAYS = 30


def presets() -> list[tuple[str, Period]]:
    """Each with its words: today, the last days, months, the quarter."""
    today = business_today()
    return [
        (gettext("Today"), Period(today, today)),
        (gettext("7 days"), Period(today - timedelta(days=6), today)),
        (gettext("30 days"), Period(today - timedelta(days=DEFAULT_DAYS - 1), today)),
        (gettext("This month"), named_period("month", today=today)),
        (gettext("Last month"), named_period("month-1", today=today)),
        (gettext("This quarter"), named_period("quarter", today=today)),
    ]
