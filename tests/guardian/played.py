"""A company that has worked for two days, for the guardian to look at."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from flask import Flask

from app.accounting import commands as accounting
from app.kernel import clock
from app.kernel.actor import Actor
from app.kernel.db import in_transaction
from app.kernel.policy import Role
from app.outbox import relay
from app.tasks import commands as tasks
from app.tasks.models import Draft
from tests.conftest import User

ANYBODY_POSITIVE = sa.text(
    "SELECT EXISTS (SELECT FROM accounts WHERE kind = 'employee' AND balance > 0)"
)


def play(app: Flask, make_user: Callable[..., User]) -> None:
    """Create, complete, reassign, close the day, and begin another one."""
    manager, accountant = make_user(Role.MANAGER), make_user(Role.ACCOUNTANT)
    people = {user.id: user.actor for user in (accountant, make_user(), make_user())}
    with app.app_context():
        made = tasks.create_tasks(manager.actor, [Draft(f"Task {n}") for n in range(12)])
        for task in made[:8]:
            tasks.complete_task(people[task.assigned_to], task.task_id)
        tasks.reassign_tasks(manager.actor)
        relay.drain(accounting.ACCOUNTING)
        _earn_a_payout(manager.actor, people)
        in_transaction(_tomorrow)
        accounting.pay_to_workers(accountant.actor)
        tasks.create_tasks(manager.actor, [Draft(f"Later task {n}") for n in range(5)])
        relay.drain(accounting.ACCOUNTING)


def _earn_a_payout(manager: Actor, people: dict[int, Actor]) -> None:
    """Finish tasks until somebody has something to be paid: prices are drawn, nobody can know."""
    while not in_transaction(_anybody_positive):
        (made,) = tasks.create_tasks(manager, [Draft("Task that pays")])
        tasks.complete_task(people[made.assigned_to], made.task_id)
        relay.drain(accounting.ACCOUNTING)


def _anybody_positive(session: Any) -> bool:
    found: bool = session.execute(ANYBODY_POSITIVE).scalar_one()
    return found


def _tomorrow(session: Any) -> None:
    day = clock.today(session, "UTC") + timedelta(days=1)
    clock.move_to(session, clock.start_of(session, day, "UTC"))
