"""The fixture `company`, and one with a played week."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest

from app.accounting import commands
from app.tasks import commands as tasks
from app.tasks.models import Draft
from tests.company import Company, company

__all__ = ["company", "week"]
MONDAY = datetime(2026, 11, 16, 9, tzinfo=UTC)
NAMES = ("Feed the bird", "=1+1", "Clean 50%_off", "Попугай", "+cmd|' /C calc'!A0", "@sum", "-2+3")


@dataclass(frozen=True)
class Week:
    """Who plays in it; the clock shows the Sunday."""

    company: Company
    accountant: Any
    second: Any
    people: list[Any]


@pytest.fixture
def week(company: Company, make_user: Callable[..., Any]) -> Week:
    """Six days of tasks, reassignments and closings, with a correction of each kind."""
    random = Random(5)
    people = [make_user("developer", f"dev{number}") for number in range(4)]
    manager, accountant, second = (make_user(r) for r in ("manager", "accountant", "accountant"))
    everyone = {user.id: user.actor for user in (*people, accountant, second)}
    for number in range(6):
        company.at(MONDAY + timedelta(days=number))
        drafts = [Draft(f"[K-{number}] {random.choice(NAMES)}") for _ in range(5)]
        company.call(tasks.create_tasks, manager.actor, drafts)
        if number % 2:
            company.call(tasks.reassign_tasks, manager.actor)
        open_tasks = company.rows("SELECT id, assigned_to FROM tasks WHERE NOT is_finished")
        for task in random.sample(open_tasks, 4):
            company.call(tasks.complete_task, everyone[task.assigned_to], task.id)
        company.post()
        if number == 4:
            _correct(company, accountant.actor, second.actor)
        company.at(MONDAY + timedelta(days=number, hours=16))
        company.call(commands.pay_to_workers, accountant.actor)
    company.at(MONDAY + timedelta(days=6))
    company.post()
    return Week(company, accountant, second, people)


def _correct(company: Company, asker: Any, approver: Any) -> None:
    for kind in ("assign_fee", "completion_reward", "payout"):
        transfer_id = company.value(
            "SELECT min(id) FROM account_transfers WHERE kind = CAST(:kind AS transfer_kind)",
            kind=kind,
        )
        asked = company.call(commands.request_correction, asker, transfer_id, reason="=wrong")
        company.call(commands.approve_correction, approver, asked.id)
