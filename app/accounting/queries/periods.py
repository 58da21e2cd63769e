"""Periods of business days, both ends included."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

from app.kernel.errors import BadInput
from app.kernel.messages import said

MIN_YEAR, MAX_YEAR = 2000, 2200
MAX_DAYS = 366 * 10
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
        if (self.last - self.first).days > MAX_DAYS:
            raise BadInput(fields={"to": "At most ten years at a time"})


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
