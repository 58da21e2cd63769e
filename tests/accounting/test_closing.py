"""Closing business days: in order, once, and every positive balance of the day's end is paid."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest

from app.accounting.commands import ClosedDay, closing, pay_to_workers
from app.kernel.actor import Actor
from app.kernel.db import sql
from app.kernel.errors import Conflict, Forbidden
from app.kernel.policy import Role
from app.kernel.settings import Settings
from app.tasks import commands as tasks
from tests.accounting.board import NOON, broken_ledger_rules, charge, earn
from tests.company import Company

DAY = NOON.date()
NEXT = DAY + timedelta(days=1)
END = datetime(2026, 3, 3, tzinfo=UTC)
DAYS = "SELECT day, status, paid_count, paid_total FROM business_days ORDER BY day"
WRITE = """
INSERT INTO outbox (type, schema_version, task_id, user_id, actor_id, occurred_at)
VALUES ('TaskAssigned', 1, %s, %s, %s, business_now())
"""
PAYOUTS = """
SELECT p.business_day, a.user_id, p.amount FROM payouts p JOIN accounts a ON a.id = p.account_id
ORDER BY p.business_day, a.user_id
"""


def end_of(company: Company, day: date) -> None:
    """Move the clock to a minute after the end of `day` (in UTC)."""
    company.at(datetime(day.year, day.month, day.day, 0, 1, tzinfo=UTC) + timedelta(days=1))


def test_positive_balances_of_the_day_s_end_are_paid_and_others_are_left(
    company: Company, make_user: Callable, accountant: Actor
) -> None:
    rich, poor, even, later = (make_user().id for _ in range(4))
    earned = earn(company, rich)
    debt = charge(company, poor)
    # What the next day moved before this one was closed is not this day's.
    tomorrow = NOON + timedelta(days=1)
    company.at(tomorrow)
    more, fee = earn(company, rich, tomorrow), charge(company, rich, tomorrow)
    new = earn(company, later, tomorrow)
    closed = company.call(pay_to_workers, accountant)
    assert closed == ClosedDay(DAY, 1, earned, already_closed=False)
    assert company.balances() == {rich: more + fee, poor: debt, later: new}
    assert even not in company.balances()
    [transfer] = company.rows("SELECT * FROM account_transfers WHERE kind = 'payout'")
    assert (transfer.amount, transfer.business_day, transfer.late) == (earned, DAY, False)
    [mail] = company.rows("SELECT * FROM emails WHERE kind = 'payout'")
    assert (mail.user_id, mail.kind, mail.state) == (rich, "payout", "queued")
    told = company.rows("SELECT type, user_id, payload FROM outbox ORDER BY id")
    assert [(row.type, row.user_id) for row in told] == [
        ("PayoutMade", rich),
        ("BusinessDayClosed", None),
    ]
    assert told[0].payload == {"business_day": DAY.isoformat(), "amount": earned}
    assert not broken_ledger_rules(company)


def test_a_closed_day_stays_closed_and_says_so(
    company: Company, make_user: Callable, accountant: Actor
) -> None:
    earned = earn(company, make_user().id)
    end_of(company, DAY)
    first = company.call(pay_to_workers, accountant)
    for day in (None, DAY):
        again = company.call(pay_to_workers, accountant, business_day=day)
        assert again == replace(first, already_closed=True)
    assert [tuple(row) for row in company.rows(DAYS)] == [(DAY, "closed", 1, earned)]
    assert company.value("SELECT count(*) FROM payouts") == 1
    assert company.value("SELECT count(*) FROM outbox") == 2


def test_rivals_close_a_day_once(company: Company, make_user: Callable, accountant: Actor) -> None:
    users = [make_user().id for _ in range(7)]
    earned = sum(earn(company, user) for user in users)
    end_of(company, DAY)
    start = threading.Barrier(4)

    def close(_number: int) -> ClosedDay:
        start.wait(10)
        closed: ClosedDay = company.call(pay_to_workers, accountant, chunk=2)
        return closed

    with ThreadPoolExecutor(4) as pool:
        closed = list(pool.map(close, range(4)))
    assert sorted(one.already_closed for one in closed) == [False, True, True, True]
    assert {(one.paid_count, one.paid_total) for one in closed} == {(7, earned)}
    assert company.value("SELECT count(*) FROM emails WHERE payout_id IS NOT NULL") == 7
    assert not broken_ledger_rules(company)


@pytest.mark.parametrize("chunks_done", [0, 1, 2, 4])
def test_a_run_that_was_cut_off_is_finished_by_the_next(
    company: Company,
    make_user: Callable,
    accountant: Actor,
    monkeypatch: pytest.MonkeyPatch,
    chunks_done: int,
) -> None:
    users = [make_user().id for _ in range(10)]
    earned = {user: earn(company, user) for user in users}
    end_of(company, DAY)
    pay_chunk, done = closing._pay_chunk, []

    def cut_off(*arguments: Any, **options: Any) -> int:
        if len(done) == chunks_done:
            raise ConnectionResetError
        done.append(pay_chunk(*arguments, **options))
        return done[-1]

    with monkeypatch.context() as patched:
        patched.setattr(closing, "_pay_chunk", cut_off)
        if chunks_done == 4:  # all are paid, and the day is not finished yet
            patched.setattr(closing, "_finish_closing", lambda *_: 1 / 0)
        with pytest.raises((ConnectionResetError, ZeroDivisionError)):
            company.call(pay_to_workers, accountant, chunk=3)
    assert [row.status for row in company.rows(DAYS)] == ["closing"]
    assert company.value("SELECT count(*) FROM payouts") == min(3 * chunks_done, 10)
    late = earn(company, users[0], NOON)  # the day takes nothing more, though it is not closed
    closed = company.call(pay_to_workers, accountant, chunk=3)
    assert closed == ClosedDay(DAY, 10, sum(earned.values()), already_closed=False)
    assert {row.user_id: row.amount for row in company.rows(PAYOUTS)} == earned
    assert company.balances() == {**dict.fromkeys(users, 0), users[0]: late}
    assert company.value("SELECT count(*) FROM emails WHERE payout_id IS NOT NULL") == 10
    assert not broken_ledger_rules(company)


def test_a_day_that_goes_on_or_lies_ahead_is_refused_and_nothing_is_closed(
    company: Company, make_user: Callable, accountant: Actor
) -> None:
    earn(company, make_user().id)
    earn(company, make_user().id, NOON + timedelta(days=1))
    company.at(NOON + timedelta(days=1))
    for day in (NEXT, NEXT + timedelta(days=1), date(9999, 12, 31)):
        with pytest.raises(Conflict, match="has not ended"):
            company.call(pay_to_workers, accountant, business_day=day)
    assert {row.status for row in company.rows(DAYS)} == {"open"}
    assert company.value("SELECT count(*) FROM payouts") == 0


def test_a_day_before_the_first_is_refused_and_begins_nothing(
    company: Company, make_user: Callable, accountant: Actor
) -> None:
    company.at(NOON + timedelta(days=1))
    for day in (date(1, 1, 1), date(2000, 1, 1), DAY - timedelta(days=1)):
        with pytest.raises(Conflict, match="before the first"):
            company.call(pay_to_workers, accountant, business_day=day)
    assert company.rows(DAYS) == []
    assert company.call(pay_to_workers, accountant) == ClosedDay(DAY, 0, 0, already_closed=False)
    with pytest.raises(Conflict, match="before the first"):
        company.call(pay_to_workers, accountant, business_day=DAY - timedelta(days=1))


def write_in_the_last_second(company: Company, writer: psycopg.Connection[Any]) -> None:
    """Begin to write an event while the day goes on; return when it has ended."""
    [task] = company.rows("SELECT id, assigned_to FROM tasks")
    company.at(END - timedelta(seconds=1))
    writer.execute(WRITE, [task.id, task.assigned_to, task.assigned_to])
    while company.value("SELECT business_now() < :end", end=END):
        time.sleep(0.05)


def test_a_transaction_that_began_in_the_day_is_waited_for(
    company: Company, make_user: Callable, accountant: Actor, settings: Settings
) -> None:
    earned = earn(company, make_user().id)
    with psycopg.connect(settings.database_url) as writer:
        write_in_the_last_second(company, writer)
        with pytest.raises(Conflict, match="Try again"):
            company.call(pay_to_workers, accountant, patience_s=0.05)
        assert {row.status for row in company.rows(DAYS)} == {"open"}
        with ThreadPoolExecutor(1) as pool:
            closing_day = pool.submit(company.call, pay_to_workers, accountant)
            time.sleep(0.3)
            writer.commit()
            closed = closing_day.result(10)
    [fee] = company.rows("SELECT * FROM account_transfers WHERE kind = 'assign_fee'")
    assert (fee.business_day, fee.late) == (DAY, False)
    assert closed.paid_total == earned + fee.delta_balance
    assert not broken_ledger_rules(company)


def test_not_waiting_for_it_would_make_its_event_late(
    company: Company,
    make_user: Callable,
    accountant: Actor,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    earn(company, make_user().id)
    careless = str(closing.HINDRANCES).replace("oldest_transaction_started_at()", "now()")
    monkeypatch.setattr(closing, "HINDRANCES", sql(careless))
    with psycopg.connect(settings.database_url) as writer:
        write_in_the_last_second(company, writer)
        company.call(pay_to_workers, accountant, patience_s=0.05)
    company.post()
    [fee] = company.rows("SELECT * FROM account_transfers WHERE kind = 'assign_fee'")
    assert (fee.business_day, fee.late) == (NEXT, True)


def test_events_of_the_day_that_wait_in_the_log_are_waited_for(
    company: Company, make_user: Callable, accountant: Actor, settings: Settings
) -> None:
    user = make_user()
    company.at(NOON)
    company.call(tasks.create_task, user.actor, name="x")
    end_of(company, DAY)
    with psycopg.connect(settings.database_url) as long:
        long.execute("SELECT pg_current_xact_id()")  # of the next day, and holds back the cursor
        with psycopg.connect(settings.database_url) as writer:
            writer.execute(WRITE.replace("business_now()", "'2026-03-02 13:00+00'"), [1, 1, 1])
        with pytest.raises(Conflict, match="Try again"):
            company.call(pay_to_workers, accountant, patience_s=0.05)
    assert company.value("SELECT count(*) FROM payouts") == 0


def test_missed_days_are_caught_up_one_by_one(
    company: Company, make_user: Callable, accountant: Actor
) -> None:
    user = make_user().id
    debt = charge(company, user) + charge(company, user)  # 20.00 at least
    second = earn(company, user, NOON + timedelta(days=1), tasks=3)
    fourth = earn(company, user, NOON + timedelta(days=3))
    end_of(company, DAY + timedelta(days=4))
    closed = company.call(pay_to_workers, accountant)
    assert closed == ClosedDay(DAY + timedelta(days=4), 0, 0, already_closed=False)
    assert [(row.day, row.status, row.paid_total) for row in company.rows(DAYS)] == [
        (DAY + timedelta(days=number), "closed", paid)
        for number, paid in enumerate([0, second + debt, 0, fourth, 0])
    ]
    assert company.balances() == {user: 0}
    assert not broken_ledger_rules(company)


def test_who_may_not_close_a_day(company: Company, make_user: Callable) -> None:
    company.at(NOON)
    for role in set(Role) - {Role.ACCOUNTANT, Role.INTERNALSERVICE}:
        with pytest.raises(Forbidden):
            company.call(pay_to_workers, make_user(role).actor)
    assert company.rows(DAYS) == []
    assert company.call(pay_to_workers, make_user(Role.INTERNALSERVICE).actor).paid_count == 0
