"""Amounts, days and moments are written as Babel writes them, only sooner."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest
from babel import Locale, numbers
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

from app.web.formats import MINUS, date_format, money_format
from app.web.language import brief_moment, moment, writing


@given(
    cents=st.integers(min_value=-(10**15), max_value=10**15),
    language=st.sampled_from(["en", "ru"]),
    currency=st.sampled_from(["USD", "EUR", "RUB", "JPY"]),
)
def test_amounts_are_babels(cents: int, language: str, currency: str) -> None:
    locale = Locale(language)
    expected = numbers.format_currency(
        Decimal(cents) / 100, currency, locale=locale, currency_digits=False
    )
    assert money_format(locale, currency).write(cents) == expected.replace("-", MINUS)


def test_whole_amounts_have_no_cents() -> None:
    assert money_format(Locale("en"), "USD").write_whole(-2_000_00) == f"{MINUS}$2,000"
    assert money_format(Locale("ru"), "USD").write_whole(0) == "0\N{NO-BREAK SPACE}$"


@pytest.mark.parametrize(
    ("language", "this_year", "expected"),
    [
        ("en", 2026, "Nov 2, 06:05"),
        ("en", 2027, "Nov 2, 2026, 06:05"),
        ("ru", 2026, "2 нояб., 06:05"),
        ("ru", 2027, "2 нояб. 2026\N{NARROW NO-BREAK SPACE}г., 06:05"),  # noqa: RUF001 - Russian
    ],
)
def test_moments_are_short_and_tell_another_year(
    language: str, this_year: int, expected: str
) -> None:
    at = datetime(2026, 11, 2, 6, 5)  # noqa: DTZ001 - in the reader's zone already
    assert date_format(Locale(language)).write_moment(at, this_year) == expected


def test_of_today_only_the_time_may_be_told(client: FlaskClient) -> None:
    with client.application.test_request_context():
        now = datetime.now(writing().zone)
        assert brief_moment(now) == f"{now:%H:%M}"
        assert brief_moment(now - timedelta(days=1)) == moment(now - timedelta(days=1))


def test_days_are_short() -> None:
    assert date_format(Locale("en")).write_day(date(2026, 11, 22), 2026) == "Nov 22"
    assert date_format(Locale("ru")).write_day(date(2026, 11, 22), 2026) == "22 нояб."
