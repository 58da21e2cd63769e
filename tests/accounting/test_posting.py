"""Posting: each event once, in any order, at prices that never change, on the day that is open."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, timedelta

import pytest
import sqlalchemy as sa
from psycopg import errors as pg
from sqlalchemy.exc import DBAPIError, IntegrityError

from app.accounting.commands import pay_to_workers
from app.kernel.settings import PriceRange, Settings
from tests.accounting.board import (
    NOON,
    broken_ledger_rules,
    charge,
    earn,
    event,
    make_tasks,
    post_batch,
    post_in_batches,
)
from tests.company import Company

# The append-only tables, each with a column of its own.
APPEND_ONLY = {
    "account_transfers": "amount",
    "audit_log": "details",
    "logs": "description",
    "outbox": "payload",
    "payouts": "amount",
    "task_prices": "assign_price",
}
CHANGES = [
    statement
    for table, column in APPEND_ONLY.items()
    for statement in (
        f"UPDATE {table} SET {column} = {column}",
        f"DELETE FROM {table}",
        f"TRUNCATE {table} CASCADE",
    )
]


def test_fees_and_rewards_move_money_between_an_employee_and_the_company(
    company: Company, make_user: Callable
) -> None:
    first, second = make_user(), make_user()
    [task] = make_tasks(company, first.id)
    events = [
        event("created", task, first.id),
        event("assigned", task, second.id),
        event("completed", task, second.id),
    ]
    post_batch(company, events)
    [price] = company.rows("SELECT * FROM task_prices")
    fee, reward = price.assign_price, price.complete_price
    assert company.balances() == {first.id: -fee, second.id: reward - fee}
    rows = company.rows("""
        SELECT t.*, d.kind AS debit, c.kind AS credit FROM account_transfers t
        JOIN accounts d ON d.id = t.debit_account_id JOIN accounts c ON c.id = t.credit_account_id
        ORDER BY t.id""")
    assert [(row.kind, row.debit, row.credit, row.delta_balance) for row in rows] == [
        ("assign_fee", "employee", "company_income", -fee),
        ("assign_fee", "employee", "company_income", -fee),
        ("completion_reward", "company_expense", "employee", reward),
    ]
    assert [row.event_id for row in rows] == [one.event_id for one in events]
    assert {row.timestamp for row in rows} == {NOON}
    [day] = company.rows("SELECT * FROM ledger_days")
    assert (day.fees, day.rewards, day.income) == (2 * fee, reward, 2 * fee - reward)
    assert not broken_ledger_rules(company)


def test_an_event_counts_once_in_a_batch_across_batches_and_in_rival_batches(
    company: Company, make_user: Callable
) -> None:
    user = make_user()
    events = [event("created", task, user.id) for task in make_tasks(company, user.id, 6)]
    post_batch(company, events[:3] + events[:3])
    post_batch(company, [*events[2:5], events[2]])
    start = threading.Barrier(4)

    def rival(_number: int) -> None:
        start.wait(10)
        post_batch(company, events)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(rival, range(4)))
    assert company.value("SELECT count(*) FROM account_transfers") == 6
    assert not broken_ledger_rules(company)


def test_shuffled_events_make_the_same_ledger(company: Company, make_user: Callable) -> None:
    users = [make_user().id for _ in range(3)]
    rng = random.Random(1)
    events = []
    for task in make_tasks(company, users[0], 12):
        story = ["created", *["assigned"] * rng.randint(0, 3), "completed"]
        events += [
            event(kind, task, rng.choice(users), NOON + timedelta(hours=rng.randint(0, 40)))
            for kind in story
        ]
    rng.shuffle(events)
    post_in_batches(company, [*events, *rng.sample(events, 10)], size=7)
    prices = {row.task_id: row for row in company.rows("SELECT * FROM task_prices")}
    expected, by_day = Counter[int](), Counter[tuple[int, date]]()
    for one in events:
        price = prices[one.task_id]  # type: ignore[attr-defined]
        completed = type(one).__name__ == "TaskCompleted"
        delta = price.complete_price if completed else -price.assign_price
        expected[one.user_id] += delta  # type: ignore[attr-defined]
        by_day[one.user_id, one.occurred_at.date()] += delta  # type: ignore[attr-defined]
    assert company.balances() == expected
    days = company.rows("""
        SELECT a.user_id, d.business_day, d.delta FROM account_days d
        JOIN accounts a ON a.id = d.account_id""")
    assert {(row.user_id, row.business_day): row.delta for row in days} == by_day
    assert not broken_ledger_rules(company)


def test_a_completion_may_come_before_the_assignment(company: Company, make_user: Callable) -> None:
    user = make_user()
    [task] = make_tasks(company, user.id)
    post_batch(company, [event("completed", task, user.id)])
    [drawn] = company.rows("SELECT * FROM task_prices")
    assert company.balances() == {user.id: drawn.complete_price}
    post_batch(company, [event("created", task, user.id)])
    assert company.rows("SELECT * FROM task_prices") == [drawn]
    assert company.balances() == {user.id: drawn.complete_price - drawn.assign_price}


def test_an_event_of_a_closed_day_counts_on_the_open_one(
    company: Company, make_user: Callable
) -> None:
    user, accountant = make_user(), make_user("accountant")
    paid = earn(company, user.id)
    company.at(NOON + timedelta(days=1))
    assert company.call(pay_to_workers, accountant.actor).paid_total == paid
    late = earn(company, user.id, NOON + timedelta(minutes=1))
    [row] = company.rows("SELECT * FROM account_transfers WHERE late")
    assert row.business_day == date(2026, 3, 3)
    assert row.timestamp == NOON + timedelta(minutes=1)
    assert row.recorded_at >= NOON + timedelta(days=1)
    assert company.balances() == {user.id: late}
    company.at(NOON + timedelta(days=2))
    assert company.call(pay_to_workers, accountant.actor).paid_total == late
    assert not broken_ledger_rules(company)


def test_an_unknown_task_or_employee_is_refused_whole(
    company: Company, make_user: Callable
) -> None:
    user = make_user()
    [task] = make_tasks(company, user.id)
    for stranger in (event("created", task + 1, user.id), event("created", task, user.id + 9)):
        with pytest.raises(IntegrityError):
            post_batch(company, [event("created", task, user.id), stranger])
    assert company.value("SELECT count(*) FROM account_transfers") == 0
    assert company.value("SELECT count(*) FROM accounts WHERE kind = 'employee'") == 0


class TestPrices:
    FEE, REWARD = (
        PriceRange(min_cents=1000, max_cents=1200),
        PriceRange(min_cents=2000, max_cents=2300),
    )
    TASKS = 12_000

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return replace(settings, assign_fee=self.FEE, completion_reward=self.REWARD)

    def test_prices_are_uniform_over_every_cent_of_their_range(
        self, company: Company, make_user: Callable
    ) -> None:
        user = make_user()
        tasks = make_tasks(company, user.id, self.TASKS)
        post_in_batches(company, [event("created", task, user.id) for task in tasks], size=4_000)
        rows = company.rows("SELECT assign_price, complete_price FROM task_prices")
        assert len(rows) == self.TASKS
        for drawn, allowed in (
            (Counter(row.assign_price for row in rows), self.FEE),
            (Counter(row.complete_price for row in rows), self.REWARD),
        ):
            cents = range(allowed.min_cents, allowed.max_cents + 1)
            assert set(drawn) == set(cents)
            expected = self.TASKS / len(cents)
            chi_square = sum((drawn[cent] - expected) ** 2 / expected for cent in cents)
            # Six standard deviations of chi-square above its mean.
            freedom = len(cents) - 1
            assert chi_square < freedom + 6 * (2 * freedom) ** 0.5
        # The two prices of a task do not tell of each other.
        above = sum((row.assign_price > 1100) == (row.complete_price > 2150) for row in rows)
        assert abs(above / self.TASKS - 0.5) < 0.03


class TestAppendOnly:
    @pytest.fixture
    def posted(self, company: Company, make_user: Callable) -> Company:
        user = make_user()
        charge(company, user.id)
        return company

    def test_the_application_s_role_may_not_change_what_was_written(self, posted: Company) -> None:
        for statement in CHANGES:
            with pytest.raises(DBAPIError) as refusal:
                posted.rows(statement)
            assert isinstance(refusal.value.orig, pg.InsufficientPrivilege), statement

    def test_triggers_refuse_even_the_owner(self, posted: Company, owner_url: str) -> None:
        owner = sa.create_engine(owner_url)
        for statement in CHANGES:
            with owner.connect() as connection, pytest.raises(DBAPIError, match="append-only"):
                connection.execute(sa.text(statement))
        owner.dispose()
        assert posted.value("SELECT count(*) FROM account_transfers") == 1
