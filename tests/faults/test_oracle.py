"""The oracle's own controls: each of its rules, broken behind the system's back, is found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from flask import Flask

from app.accounting import commands as accounting
from app.kernel import clock
from app.kernel.db import in_transaction
from app.kernel.policy import Role
from app.outbox import relay
from app.tasks import commands as tasks
from app.tasks.models import Draft
from embedded.postgres import Cluster
from tests.conftest import User
from tests.guardian import sabotage as guardian
from tests.oracle import CHECKS, findings

# The rule, and how a superuser breaks it.
SABOTAGE: dict[str, str] = {
    **{name: broken for name, broken in guardian.SABOTAGE.items() if name in CHECKS},
    "no event waits": "UPDATE outbox_cursors SET xid = '0', id = 0",
}


@pytest.fixture
def superuser(
    app: Flask, cluster: Cluster, database: str, make_user: Callable[..., User]
) -> Iterator[psycopg.Connection[Any]]:
    """A connection that no trigger, privilege or foreign key holds back, on a played company."""
    manager, accountant = make_user(Role.MANAGER), make_user(Role.ACCOUNTANT)
    people = {user.id: user.actor for user in (accountant, make_user(), make_user())}
    with app.app_context():
        made = tasks.create_tasks(manager.actor, [Draft(f"Task {n}") for n in range(12)])
        for task in made[:8]:
            tasks.complete_task(people[task.assigned_to], task.task_id)
        tasks.reassign_tasks(manager.actor)
        relay.drain(accounting.ACCOUNTING)
        in_transaction(_tomorrow)
        accounting.pay_to_workers(accountant.actor)
        relay.drain(accounting.ACCOUNTING)
    with psycopg.connect(cluster.superuser_url(database), autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        yield connection


def test_a_sound_company_breaks_no_rule(superuser: psycopg.Connection[Any]) -> None:
    assert findings(superuser) == {}


def test_every_rule_has_a_control() -> None:
    # No statement damages a page: tests/guardian/test_damaged_page.py does.
    assert SABOTAGE.keys() | {"no page of the database is damaged"} == CHECKS.keys()


def test_each_broken_rule_is_found(superuser: psycopg.Connection[Any]) -> None:
    for rule, sabotage in SABOTAGE.items():
        with superuser.transaction(force_rollback=True):
            done = superuser.execute(sabotage)
            assert done.rowcount > 0, f"{rule}: nothing was broken"
            assert rule in findings(superuser), rule


def _tomorrow(session: Any) -> None:
    day = clock.today(session, "UTC") + timedelta(days=1)
    clock.move_to(session, clock.start_of(session, day, "UTC"))
