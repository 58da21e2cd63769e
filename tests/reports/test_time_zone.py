"""A change of BUSINESS_TIMEZONE that would move a closed day is refused, and loses nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from app.accounting import commands
from app.kernel import settings as kernel_settings
from app.kernel.errors import Conflict
from app.tasks import commands as tasks
from tests.company import Company

DAY = date(2026, 3, 10)


@pytest.fixture
def closed(company: Company, make_user: Callable[..., Any]) -> Any:
    """A company that closed a day in UTC."""
    developer = make_user("developer")
    company.at(datetime(2026, 3, 10, 12, tzinfo=UTC))
    task = company.call(tasks.create_task, developer.actor, name="Before")
    company.call(tasks.complete_task, developer.actor, task.task_id)
    company.post()
    company.at(datetime(2026, 3, 11, 12, tzinfo=UTC))
    payer = make_user("internalservice").actor
    company.call(commands.pay_to_workers, payer)
    return payer


@pytest.mark.parametrize("zone", ["Europe/Moscow", "America/New_York"])
def test_a_zone_that_moves_a_closed_day_is_refused_and_nothing_is_lost(
    company: Company, closed: Any, make_user: Callable[..., Any], zone: str
) -> None:
    kernel_settings.use(replace(company.settings, business_timezone=zone))
    company.at(datetime(2026, 3, 12, 12, tzinfo=UTC))
    with pytest.raises(Conflict, match="would move 2026-03-10"):
        company.call(commands.pay_to_workers, closed)
    assert company.value("SELECT count(*) FROM business_days WHERE status <> 'open'") == 1
    kernel_settings.use(company.settings)
    company.call(commands.pay_to_workers, closed)
    company.post()
    assert not company.broken_rules()


def test_events_wait_and_none_is_parked(
    company: Company, closed: Any, make_user: Callable[..., Any]
) -> None:
    company.call(tasks.create_task, make_user("developer").actor, name="After")
    kernel_settings.use(replace(company.settings, business_timezone="Europe/Moscow"))
    with pytest.raises(Exception, match="BUSINESS_TIMEZONE would move a closed day"):
        company.post()
    assert company.value("SELECT count(*) FROM dead_letters") == 0
    kernel_settings.use(company.settings)
    company.post()
    assert not company.broken_rules()


def test_another_name_of_the_same_zone_is_fine(company: Company, closed: Any) -> None:
    kernel_settings.use(replace(company.settings, business_timezone="Africa/Abidjan"))
    company.at(datetime(2026, 3, 12, 12, tzinfo=UTC))
    assert company.call(commands.pay_to_workers, closed).business_day == date(2026, 3, 11)


def test_before_any_day_is_closed_the_zone_may_change(
    company: Company, make_user: Callable[..., Any]
) -> None:
    company.at(datetime(2026, 3, 10, 12, tzinfo=UTC))
    company.call(tasks.create_task, make_user("developer").actor, name="Before")
    company.post()
    kernel_settings.use(replace(company.settings, business_timezone="Europe/Moscow"))
    company.at(datetime(2026, 3, 10, 21, 30, tzinfo=UTC))
    closed = company.call(commands.pay_to_workers, make_user("internalservice").actor)
    assert closed.business_day == DAY, "in Moscow it has ended"


@pytest.mark.parametrize(
    ("day", "hours"), [(date(2026, 3, 29), 23), (date(2026, 10, 25), 25), (date(2026, 6, 1), 24)]
)
def test_days_of_23_and_25_hours_follow_each_other_without_a_gap(
    company: Company, make_user: Callable[..., Any], day: date, hours: int
) -> None:
    kernel_settings.use(replace(company.settings, business_timezone="Europe/Berlin"))
    before = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    company.at(before)
    company.call(tasks.create_task, make_user("developer").actor, name="On the day")
    company.post()
    payer = make_user("internalservice").actor
    company.at(before.replace(day=day.day + 1 if day.day < 30 else 1, hour=10))
    assert company.call(commands.pay_to_workers, payer).business_day == day
    company.call(tasks.create_task, make_user("developer").actor, name="The day after")
    company.post()
    rows = company.rows(
        "SELECT day, extract(epoch FROM upper(during) - lower(during)) / 3600 AS hours,"
        " lower(during) = lag(upper(during)) OVER (ORDER BY day) AS follows FROM business_days"
        " ORDER BY day"
    )
    assert [(row.day, row.hours) for row in rows[:1]] == [(day, hours)]
    assert all(row.follows for row in rows[1:])
    assert not company.broken_rules()
