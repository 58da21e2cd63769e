"""Statements and reports: sums that add up, periods, and pages that show each line once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest

from app.accounting import queries
from app.accounting.commands import pay_to_workers
from app.accounting.queries import LedgerFilter, Period, parse_period
from app.kernel.db import db
from app.kernel.errors import BadInput
from tests.accounting.board import NOON, charge, earn
from tests.company import Company

DAY = NOON.date()
EVER = Period(DAY - timedelta(days=30), DAY + timedelta(days=30))


def read(company: Company, query: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    return company.call(lambda: query(db.session(), *arguments, **options))


@pytest.fixture
def history(company: Company, make_user: Callable) -> tuple[Company, int, int]:
    """Two employees over three days, of which the first was closed during the second."""
    mine, other, accountant = make_user().id, make_user().id, make_user("accountant").actor
    for day in range(3):
        at = NOON + timedelta(days=day)
        company.at(at)
        for _ in range(3):
            earn(company, mine, at)
            charge(company, mine, at)
            charge(company, other, at)
        if day == 1:
            company.call(pay_to_workers, accountant)
            earn(company, mine, NOON)  # late: occurred on the day that was closed
    return company, mine, other


def test_each_line_shows_the_balance_that_the_lines_up_to_it_made(
    history: tuple[Company, int, int],
) -> None:
    company, mine, _ = history
    page = read(company, queries.statement_page, mine, EVER)
    sums = read(company, queries.statement_sums, mine, EVER)
    oldest_first = page.lines[::-1]
    balance = 0
    for line in oldest_first:
        balance += line.delta_balance
        assert line.running_balance == balance
    assert balance == sums.closing == company.balances()[mine]
    assert sums.opening == page.before == 0
    assert [line.kind for line in oldest_first[:7]].count("payout") == 1
    payout = next(line for line in oldest_first if line.kind == "payout")
    assert payout.running_balance == 0
    assert payout.balance_after != 0  # when it was posted, the next day had begun
    assert [line.late for line in oldest_first].count(True) == 1
    assert {line.kind for line in oldest_first} == {"assign_fee", "completion_reward", "payout"}


def test_a_period_s_sums_lead_from_its_opening_to_its_closing_balance(
    history: tuple[Company, int, int],
) -> None:
    company, mine, other = history
    days = [Period(day, day) for day in (DAY + timedelta(days=number) for number in range(3))]
    parts = [read(company, queries.statement_sums, mine, day) for day in days]
    pages = [read(company, queries.statement_page, mine, day) for day in days]
    for part, page in zip(parts, pages, strict=True):
        moved = part.rewards - part.fees - part.payouts
        assert part.opening + moved == part.closing
        assert moved == sum(line.delta_balance for line in page.lines)
        assert page.lines[0].running_balance == part.closing
        assert page.before == part.opening
    assert parts[0].closing == parts[1].opening == 0  # the first day was paid out
    whole = read(company, queries.statement_page, mine, EVER).lines
    assert [line.id for page in reversed(pages) for line in page.lines] == [
        line.id for line in whole
    ]
    stranger = read(company, queries.statement_page, other, EVER).lines
    assert not {line.id for line in stranger} & {line.id for line in whole}


def test_pages_show_each_line_once_while_lines_are_added(
    history: tuple[Company, int, int],
) -> None:
    company, mine, _ = history
    expected = [line.id for line in read(company, queries.statement_page, mine, EVER).lines]
    seen, before = [], None
    while True:
        page = read(company, queries.statement_page, mine, EVER, before=before, limit=4)
        seen += page.lines
        if not page.has_more:
            break
        before = (page.lines[-1].business_day, page.lines[-1].id)
        earn(company, mine, NOON + timedelta(days=2))  # newer than all: on no page that follows
    assert [line.id for line in seen] == expected
    balances = {line.id: line.running_balance for line in seen}
    again = read(company, queries.statement_page, mine, EVER, limit=200).lines
    assert all(
        balances.get(line.id, line.running_balance) == line.running_balance for line in again
    )


def test_the_report_s_sums_are_those_of_its_lines(history: tuple[Company, int, int]) -> None:
    company, mine, other = history
    day = DAY + timedelta(days=1)
    for user_id in (None, mine, other):
        for kind in (None, "assign_fee", "completion_reward", "payout"):
            for period in (EVER, Period(DAY, DAY), Period(day, day)):
                wanted = LedgerFilter(period=period, user_id=user_id, kind=kind)
                lines = read(company, queries.all_transfers, wanted, limit=1_000)
                totals = read(company, queries.totals, wanted)
                assert totals.transfers == len(lines), wanted
                delta = sum(line.delta_balance for line in lines)
                assert totals.rewards - totals.fees - totals.payouts == delta, wanted
                exported = company.call(
                    lambda wanted=wanted: list(queries.export_transfers(db.session(), wanted))
                )
                assert exported == lines


def test_periods_are_read_strictly() -> None:
    default = Period(DAY, DAY)
    assert parse_period(None, "", default=default) == default
    assert parse_period("2026-03-01", None, default=default) == Period(date(2026, 3, 1), DAY)
    later = date(2026, 5, 1)
    assert parse_period("2026-05-01", None, default=default) == Period(later, later)
    for first, last, field in (
        ("2026-3-1", None, "from"),
        ("20260301", None, "from"),
        ("2026-02-30", None, "from"),
        (None, "tomorrow", "to"),
        ("2026-03-02", "2026-03-01", "to"),
        ("1999-12-31", "2000-01-02", "from"),
        ("2026-01-01", "2201-01-01", "from"),
        ("2001-01-01", "2026-01-01", "to"),
    ):
        with pytest.raises(BadInput) as refusal:
            parse_period(first, last, default=default)
        assert field in refusal.value.fields, (first, last)
