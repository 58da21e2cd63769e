"""The ledger against a model of a few lines: whatever is posted and closed, in whatever order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.accounting.commands import pay_to_workers
from tests.accounting.board import broken_ledger_rules, event, make_tasks, post_batch
from tests.company import Company

START = datetime(2026, 1, 1, tzinfo=UTC)
DAYS, USERS, TASKS = 3, 3, 4

events = st.tuples(
    st.sampled_from(["created", "assigned", "completed"]),
    st.integers(0, TASKS - 1),
    st.integers(0, USERS - 1),
    st.integers(0, DAYS * 24 - 1),
)
steps = st.lists(
    st.one_of(
        st.lists(events, min_size=1, max_size=5),
        st.integers(0, 50),  # post again what was posted as this number
        st.just("close"),
    ),
    max_size=12,
)


@dataclass
class Model:
    """Sums by employee and business day, and the first day that is open."""

    open_day: date
    moved: defaultdict[tuple[int, date], int] = field(default_factory=lambda: defaultdict(int))
    paid: dict[tuple[int, date], int] = field(default_factory=dict)

    def post(self, user_id: int, delta: int, occurred_on: date) -> None:
        self.moved[user_id, max(occurred_on, self.open_day)] += delta

    def balance(self, user_id: int, until: date = date.max) -> int:
        return sum(
            delta for (user, day), delta in self.moved.items() if user == user_id and day <= until
        )

    def close(self, user_ids: list[int]) -> None:
        for user_id in user_ids:
            owed = self.balance(user_id, until=self.open_day)
            if owed > 0:
                self.paid[user_id, self.open_day] = owed
                self.moved[user_id, self.open_day] -= owed
        self.open_day += timedelta(days=1)


def test_the_ledger_is_what_the_model_says(company: Company, make_user: Callable) -> None:
    accountant = make_user("accountant").actor
    # One database for all examples: each has employees, tasks and days of its own.
    starts = (START + timedelta(days=(DAYS + 3) * number) for number in count())

    @settings(
        max_examples=40,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    @given(steps)
    def check(steps: list[Any]) -> None:
        play(company, make_user, accountant, next(starts), steps)

    check()
    assert not broken_ledger_rules(company)


def play(
    company: Company, make_user: Callable, accountant: Any, start: datetime, steps: Any
) -> None:
    # What earlier examples left is paid before the first day of this one.
    company.at(start + timedelta(minutes=1))
    company.call(pay_to_workers, accountant)
    users = [make_user().id for _ in range(USERS)]
    tasks = make_tasks(company, users[0], TASKS)
    model, posted = Model(start.date()), list[Any]()
    for step in steps:
        if step == "close":
            if model.open_day < start.date() + timedelta(days=DAYS):
                company.at(midnight(model.open_day) + timedelta(days=1, minutes=1))
                company.call(pay_to_workers, accountant, business_day=model.open_day)
                model.close(users)
        elif isinstance(step, int):
            if step < len(posted):
                post_batch(company, [posted[step]])
        else:
            batch = [
                event(kind, tasks[task], users[user], start + timedelta(hours=hour))
                for kind, task, user, hour in step
            ]
            post_batch(company, batch)
            posted += batch
            record(company, model, batch)
    compare(company, model, users)


def record(company: Company, model: Model, batch: list[Any]) -> None:
    prices = {row.task_id: row for row in company.rows("SELECT * FROM task_prices")}
    for one in batch:
        price = prices[one.task_id]
        completed = type(one).__name__ == "TaskCompleted"
        delta = price.complete_price if completed else -price.assign_price
        model.post(one.user_id, delta, one.occurred_at.date())


def compare(company: Company, model: Model, users: list[int]) -> None:
    balances = company.balances()
    assert {user: balances.get(user, 0) for user in users} == {
        user: model.balance(user) for user in users
    }
    days = company.rows(
        "SELECT a.user_id, d.business_day, d.delta FROM account_days d"
        " JOIN accounts a ON a.id = d.account_id WHERE a.user_id = ANY (:users) AND d.delta <> 0",
        users=users,
    )
    assert {(row.user_id, row.business_day): row.delta for row in days} == {
        key: delta for key, delta in model.moved.items() if delta
    }
    payouts = company.rows(
        "SELECT a.user_id, p.business_day, p.amount FROM payouts p"
        " JOIN accounts a ON a.id = p.account_id WHERE a.user_id = ANY (:users)",
        users=users,
    )
    assert {(row.user_id, row.business_day): row.amount for row in payouts} == model.paid


def midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
