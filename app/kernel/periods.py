"""Periods of business days, both ends included."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from app.kernel.errors import BadInput
from app.kernel.messages import said

MIN_YEAR, MAX_YEAR = 2000, 2200
MAX_DAYS = 366 * 10
ONE_DAY = timedelta(days=1)
CHART_DAYS = 93
PERIOD_WORDS = "A period such as 2026-11, 2026-W47, 2026-Q4 or month-1"
_RELATIVE = re.compile(r"(?P<unit>day|week|month|quarter|year)(-(?P<ago>[0-9]{1,3}))?")
_CALENDAR = re.compile(
    r"(?P<year>[0-9]{4})(-(W(?P<week>[0-9]{1,2})|Q(?P<quarter>[1-4])|(?P<month>[0-9]{1,2})))?"
)
_ISO_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@dataclass(frozen=True, slots=True)
class Period:
    """The business days from `first` to `last`, both included."""

    first: date
    last: date

    def __post_init__(self) -> None:
        if self.first > self.last:
            raise BadInput(fields={"to": "The period ends before it begins"})
        if self.first.year < MIN_YEAR or self.last.year > MAX_YEAR:
            raise BadInput(
                fields={
                    "from": said("Years from %(first)s to %(last)s", first=MIN_YEAR, last=MAX_YEAR)
                }
            )
        if self.days > MAX_DAYS:
            raise BadInput(fields={"to": "At most ten years at a time"})

    @property
    def days(self) -> int:
        """How many days later the last one is than the first."""
        return (self.last - self.first).days


def parse_period(first: str | None, last: str | None, *, default: Period) -> Period:
    """The period between two ISO dates; an end that is not given is `default`'s.

    Raises BadInput, with the field `from` or `to`, for what is not a date or not a period.
    """
    return Period(
        parse_day(first, "from") or default.first,
        parse_day(last, "to") or max(default.last, parse_day(first, "from") or default.last),
    )


def parse_day(text: str | None, field: str) -> date | None:
    """The ISO date in `text`, or None when there is none. Raises BadInput for the field `field`."""
    if not text:
        return None
    if not _ISO_DAY.fullmatch(text):
        raise BadInput(fields={field: "A date such as 2026-11-30"})
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise BadInput(fields={field: "No such date"}) from error


def named_period(text: str, *, today: date) -> Period:
    """The period that `text` names: 2026, 2026-11, 2026-Q4, 2026-W47, a day, or `month-1`.

    `day`, `week`, `month`, `quarter` and `year` are those that `today` is in, `week-2` the one two
    weeks ago. Raises BadInput with the field `period` for anything else.
    """
    text = text.strip()
    try:
        if match := _RELATIVE.fullmatch(text.lower()):
            return _relative(match["unit"], int(match["ago"] or 0), today)
        if match := _CALENDAR.fullmatch(text.upper()):
            return _calendar(match.groupdict())
        day = parse_day(text, "period")
    except (ValueError, OverflowError) as error:
        raise BadInput(fields={"period": "There is no such period"}) from error
    if day is None:
        raise BadInput(fields={"period": PERIOD_WORDS})
    return Period(day, day)


def _calendar(parts: dict[str, str | None]) -> Period:
    year = int(parts["year"] or 0)
    if parts["week"]:
        monday = date.fromisocalendar(year, int(parts["week"]), 1)
        return Period(monday, monday + timedelta(days=6))
    if parts["quarter"]:
        first = date(year, int(parts["quarter"]) * 3 - 2, 1)
        return Period(first, _months_later(first, 3) - ONE_DAY)
    if parts["month"]:
        first = date(year, int(parts["month"]), 1)
        return Period(first, _months_later(first, 1) - ONE_DAY)
    return Period(date(year, 1, 1), date(year, 12, 31))


def _relative(unit: str, ago: int, today: date) -> Period:
    if unit == "day":
        return Period(today - timedelta(days=ago), today - timedelta(days=ago))
    if unit == "week":
        monday = today - timedelta(days=today.weekday() + 7 * ago)
        return Period(monday, monday + timedelta(days=6))
    months = {"month": 1, "quarter": 3, "year": 12}[unit]
    first = today.replace(day=1, month=(today.month - 1) // months * months + 1)
    first = _months_later(first, -months * ago)
    return Period(first, _months_later(first, months) - ONE_DAY)


def _months_later(first: date, months: int) -> date:
    """The first day of the month that lies `months` after that of `first`."""
    year, month = divmod(first.year * 12 + first.month - 1 + months, 12)
    return date(year, month + 1, 1)


def days_of(period: Period) -> Iterator[date]:
    """Every day of the period, in order."""
    return (
        period.first + timedelta(days=number)
        for number in range((period.last - period.first).days + 1)
    )


def chart_starts(period: Period) -> list[date]:
    """Where each step of a chart of the period begins: its days, or weeks, or months."""
    days = (period.last - period.first).days + 1
    if days <= CHART_DAYS:
        starts = days_of(period)
    elif days <= CHART_DAYS * 7:
        starts = (day for day in days_of(period) if day.weekday() == 0)
    else:
        starts = (day for day in days_of(period) if day.day == 1)
    return sorted({period.first, *starts})


def chart_points(period: Period, amounts: Mapping[date, int]) -> list[dict[str, Any]]:
    """A point for each step of a chart of the period, with the sum of its days."""
    starts = chart_starts(period)
    points = dict.fromkeys(starts, 0)
    for day, cents in amounts.items():
        points[starts[bisect_right(starts, day) - 1]] += cents
    return [{"day": day, "cents": cents} for day, cents in points.items()]
