"""Events as the board would emit them, at any time, in any order; and the rules of a ledger."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from app.accounting.commands import post
from app.events import Event, TaskAssigned, TaskCompleted, TaskCreated
from app.kernel.db import in_transaction
from tests.company import Company

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
# The oracle's rules that hold whether or not the board has a log of what was posted.
LEDGER_RULES = ("each balance", "each account's", "each day's", "each payout", "a closed day")

_KINDS = {"created": TaskCreated, "assigned": TaskAssigned, "completed": TaskCompleted}


def make_tasks(company: Company, user_id: int, count: int = 1) -> list[int]:
    """Tasks that nothing tells of; returns their ids in order."""
    statement = """
        INSERT INTO tasks (name, assigned_to, created_by)
        SELECT 'task ' || n, :user_id, :user_id FROM generate_series(1, :count) AS n RETURNING id"""
    return sorted(row.id for row in company.rows(statement, user_id=user_id, count=count))


def event(kind: str, task_id: int, user_id: int, at: datetime = NOON) -> Event:
    """A new event about a task: `created`, `assigned` or `completed`."""
    made: Event = _KINDS[kind](
        event_id=uuid4(), occurred_at=at, task_id=task_id, user_id=user_id, actor_id=user_id
    )
    return made


def post_batch(company: Company, events: Sequence[Event]) -> None:
    """Post `events` as one batch."""
    company.call(in_transaction, lambda session: post(session, events))


def post_in_batches(company: Company, events: Sequence[Event], size: int) -> None:
    """Post `events` in batches of `size`."""
    rest = iter(events)
    while batch := list(itertools.islice(rest, size)):
        post_batch(company, batch)


def earn(company: Company, user_id: int, at: datetime = NOON, tasks: int = 1) -> int:
    """Let an employee complete `tasks` tasks that others were charged for; returns the reward."""
    before = company.balances().get(user_id, 0)
    made = make_tasks(company, user_id, tasks)
    post_batch(company, [event("completed", task_id, user_id, at) for task_id in made])
    return company.balances()[user_id] - before


def charge(company: Company, user_id: int, at: datetime = NOON) -> int:
    """Charge an employee the fee of one task; returns the (negative) change of the balance."""
    before = company.balances().get(user_id, 0)
    post_batch(company, [event("created", make_tasks(company, user_id)[0], user_id, at)])
    return company.balances()[user_id] - before


def broken_ledger_rules(company: Company) -> dict[str, list[Any]]:
    """What the oracle finds wrong in the ledger itself."""
    broken = company.broken_rules()
    return {rule: rows for rule, rows in broken.items() if rule.startswith(LEDGER_RULES)}
