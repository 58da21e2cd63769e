"""The period and the cursor in a page's address, and the links that change them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from flask import request, url_for
from flask_babel import gettext

from app.accounting.queries import Period, parse_day, parse_period
from app.kernel import clock, settings
from app.kernel.db import db
from app.kernel.errors import BadInput
from app.web.arguments import is_whole_number

DEFAULT_DAYS = 30


@dataclass(frozen=True, slots=True)
class PeriodForm:
    """The filter above a statement or the report."""

    action_url: str
    user_id: int | None
    first_day: date
    last_day: date
    presets: Sequence[dict[str, Any]]


def asked_period() -> Period:
    """The period of the request, `from` and `to`; by default the last 30 business days."""
    today = business_today()
    default = Period(today - timedelta(days=DEFAULT_DAYS - 1), today)
    return parse_period(request.args.get("from"), request.args.get("to"), default=default)


def business_today() -> date:
    """The business day that goes on."""
    return clock.today(db.session(), settings.current().business_timezone)


def period_form(endpoint: str, period: Period, user_id: int | None) -> PeriodForm:
    """The filter's state and its presets: today, seven days, thirty days, this month."""
    today = business_today()
    presets = (
        (gettext("Today"), today),
        (gettext("7 days"), today - timedelta(days=6)),
        (gettext("30 days"), today - timedelta(days=DEFAULT_DAYS - 1)),
        (gettext("This month"), today.replace(day=1)),
    )
    return PeriodForm(
        action_url=url_for(endpoint),
        user_id=user_id,
        first_day=period.first,
        last_day=period.last,
        presets=[
            {
                "label": label,
                "url": url_for(endpoint, **arguments(Period(first, today), user_id)),
                "active": Period(first, today) == period,
            }
            for label, first in presets
        ],
    )


def arguments(period: Period, user_id: int | None = None) -> dict[str, Any]:
    """The period, and the person if any, as an address carries them."""
    return {"from": period.first, "to": period.last, "user_id": user_id}


def asked_cursor() -> tuple[date, int] | None:
    """The last line of the page above, as `2026-11-30_123`. Raises BadInput for anything else."""
    text = request.args.get("cursor", "")
    if not text:
        return None
    first, _, number = text.partition("_")
    day = parse_day(first, "cursor")
    if day is None or not is_whole_number(number):
        raise BadInput(fields={"cursor": "Not a cursor of this list"})
    return day, int(number)


def cursor_after(row: Any) -> str:
    """The cursor of the page that begins after `row`."""
    return f"{row.business_day}_{row.id}"


def days_of(period: Period) -> Iterator[date]:
    """Every day of the period, in order."""
    return (
        period.first + timedelta(days=number)
        for number in range((period.last - period.first).days + 1)
    )


def running(opening: int, changes: dict[date, int], days: Iterable[date]) -> list[dict[str, Any]]:
    """The balance at the end of each of `days`, from `opening` and each day's change."""
    points, balance = [], opening
    for day in days:
        balance += changes.get(day, 0)
        points.append({"day": day, "cents": balance})
    return points
