"""How amounts, days and moments are written, prepared once for each language.

Babel knows the patterns; applying them anew to each of a page's hundred amounts would take longer
than the page's queries.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from functools import lru_cache

from babel import Locale, numbers
from babel.dates import DateTimePattern

from app.kernel.money import MINOR_PER_MAJOR

MINUS = "\N{MINUS SIGN}"
# An amount that shows everything there is to know: both separators, and what stands around.
_SPECIMEN = Decimal("1234567.89")


@dataclass(frozen=True, slots=True)
class MoneyFormat:
    """What a language puts around and between the digits of an amount of a currency."""

    before: str
    after: str
    group: str
    point: str

    def write(self, cents: int) -> str:
        """The amount with two decimals; a negative one with a true minus sign in front."""
        return self._write(cents, f"{self.point}{abs(cents) % MINOR_PER_MAJOR:02d}")

    def write_whole(self, cents: int) -> str:
        """The same of an amount without cents, such as those beside a chart."""
        return self._write(cents, "")

    def _write(self, cents: int, minor: str) -> str:
        digits = f"{abs(cents) // MINOR_PER_MAJOR:,}".replace(",", self.group)
        sign = MINUS if cents < 0 else ""
        return f"{sign}{self.before}{digits}{minor}{self.after}"


@dataclass(frozen=True, slots=True, eq=False)
class DateFormat:
    """A language's short forms: the day, the day with its year, the time of day."""

    locale: Locale
    day: DateTimePattern
    day_and_year: DateTimePattern
    time: DateTimePattern

    def write_day(self, of: date, this_year: int) -> str:
        """`Nov 22`, or `Nov 22, 2025` when that is not this year."""
        return _write_day(self, of.year, of.month, of.day, this_year)

    def write_moment(self, local: datetime, this_year: int) -> str:
        """`Nov 22, 16:42`, of a time that is in the reader's zone already."""
        return f"{self.write_day(local, this_year)}, {self.write_time(local)}"

    def write_time(self, local: datetime) -> str:
        """`16:42`, of a time that is in the reader's zone already."""
        return _write_time(self, local.hour, local.minute)


# A list's days are few and its times of day at most 1,440: each is put together once.
@lru_cache(maxsize=4096)
def _write_day(form: DateFormat, year: int, month: int, day: int, this_year: int) -> str:
    pattern = form.day if year == this_year else form.day_and_year
    return pattern.apply(date(year, month, day), form.locale)


@lru_cache(maxsize=4096)
def _write_time(form: DateFormat, hour: int, minute: int) -> str:
    return form.time.apply(time(hour, minute), form.locale)


@lru_cache(maxsize=64)
def money_format(locale: Locale, currency: str) -> MoneyFormat:
    """How `locale` writes amounts of `currency`, with the two decimals that the ledger has."""
    specimen = numbers.format_currency(_SPECIMEN, currency, locale=locale, currency_digits=False)
    before, rest = specimen.split("1", 1)
    digits, after = rest.split("89", 1)
    return MoneyFormat(before, after, group=digits[0 : digits.index("2")], point=digits[-1])


@lru_cache(maxsize=64)
def date_format(locale: Locale) -> DateFormat:
    """The short forms of `locale`; hours as 00 to 23 everywhere, since columns are narrow."""
    forms = locale.datetime_skeletons
    return DateFormat(locale, forms["MMMd"], forms["yMMMd"], forms["Hm"])
