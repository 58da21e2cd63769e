"""Periods of business days, both ends included."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from app.kernel.errors import BadInput

MIN_YEAR, MAX_YEAR = 2000, 2200
MAX_DAYS = 366 * 10


@dataclass(frozen=True, slots=True)
class Period:
    """The business days from `first` to `last`, both included."""

    first: date
    last: date

    def __post_init__(self) -> None:
        if self.first > self.last:
            raise BadInput(fields={"to": "The period ends before it begins"})
        if self.first.year < MIN_YEAR or self.last.year > MAX_YEAR:
            raise BadInput(fields={"from": f"Years from {MIN_YEAR} to {MAX_YEAR}"})
        if (self.last - self.first).days > MAX_DAYS:
            raise BadInput(fields={"to": "At most ten years at a time"})


def parse_period(first: str | None, last: str | None, *, default: Period) -> Period:
    """The period between two ISO dates; an end that is not given is `default`'s.

    Raises BadInput, with the field `from` or `to`, for what is not a date or not a period.
    """
    return Period(
        _day(first, "from") or default.first,
        _day(last, "to") or max(default.last, _day(first, "from") or default.last),
    )


def _day(text: str | None, field: str) -> date | None:
    if not text:
        return None
    try:
        if len(text) != 10:
            raise ValueError(text)
        return date.fromisoformat(text)
    except ValueError as error:
        raise BadInput(fields={field: "A date such as 2026-11-30"}) from error
