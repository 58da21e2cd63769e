"""Business days of 23 and of 25 hours, and the demo's days, which end when somebody says so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from app.accounting.commands import ClosedDay, end_demo_day, pay_to_workers
from app.kernel.actor import Actor
from app.kernel.errors import Conflict, Forbidden
from app.kernel.settings import Settings
from tests.accounting.board import NOON, broken_ledger_rules, earn
from tests.company import Company

DAY = NOON.date()
NEXT = DAY + timedelta(days=1)
PAYOUTS = """
SELECT p.business_day, a.user_id, p.amount FROM payouts p JOIN accounts a ON a.id = p.account_id
ORDER BY p.business_day, a.user_id
"""


class TestSummerTime:
    """Business days of 23 and of 25 hours, and the moments at their edges."""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return replace(settings, business_timezone="Europe/Berlin")

    @pytest.mark.parametrize(
        ("day", "begins", "hours"),
        [
            (date(2026, 3, 29), datetime(2026, 3, 28, 23, tzinfo=UTC), 23),
            (date(2026, 10, 25), datetime(2026, 10, 24, 22, tzinfo=UTC), 25),
        ],
    )
    def test_the_day_is_as_long_as_its_zone_says(
        self,
        company: Company,
        make_user: Callable,
        accountant: Actor,
        day: date,
        begins: datetime,
        hours: int,
    ) -> None:
        ends, instant = begins + timedelta(hours=hours), timedelta(microseconds=1)
        users = [make_user().id for _ in range(4)]
        moments = (begins - instant, begins, ends - instant, ends)
        earned = [earn(company, user, at) for user, at in zip(users, moments, strict=True)]
        found = company.rows(
            "SELECT day, upper(during) - lower(during) AS length FROM business_days"
        )
        assert {row.day: row.length for row in found} == {
            day - timedelta(days=1): timedelta(hours=24),
            day: timedelta(hours=hours),
            day + timedelta(days=1): timedelta(hours=24),
        }
        company.at(ends - timedelta(seconds=30))
        with pytest.raises(Conflict, match="has not ended"):
            company.call(pay_to_workers, accountant, business_day=day)
        company.at(ends + timedelta(seconds=30))
        assert company.call(pay_to_workers, accountant).business_day == day
        assert [(row.business_day, row.user_id, row.amount) for row in company.rows(PAYOUTS)] == [
            (day - timedelta(days=1), users[0], earned[0]),
            (day, users[1], earned[1]),
            (day, users[2], earned[2]),
        ]
        assert not broken_ledger_rules(company)


class TestDemo:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return replace(settings, demo=True)

    def test_ending_the_day_moves_the_clock_and_pays(
        self, company: Company, make_user: Callable, accountant: Actor
    ) -> None:
        company.at(NOON)
        earned = earn(company, make_user().id)
        assert company.call(end_demo_day, accountant) == ClosedDay(
            DAY, 1, earned, already_closed=False
        )
        assert company.value("SELECT (business_now() AT TIME ZONE 'UTC')::date") == NEXT
        assert company.call(end_demo_day, accountant) == ClosedDay(NEXT, 0, 0, already_closed=False)
        assert not broken_ledger_rules(company)


def test_outside_a_demo_no_day_ends_early(company: Company, accountant: Actor) -> None:
    with pytest.raises(Forbidden, match="demo"):
        company.call(end_demo_day, accountant)
    assert company.value("SELECT shift = interval '0' FROM business_clock")
