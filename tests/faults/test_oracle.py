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
from tests.oracle import CHECKS, findings

# The rule, and how a superuser breaks it.
SABOTAGE: dict[str, str] = {
    "each assignment has exactly one fee": """
        DELETE FROM account_transfers WHERE id =
          (SELECT max(id) FROM account_transfers WHERE kind = 'assign_fee')""",
    "each completion has exactly one reward": """
        DELETE FROM account_transfers WHERE kind = 'completion_reward'""",
    "each fee and reward has the log entry that it is for": """
        INSERT INTO account_transfers (event_id, kind, debit_account_id, credit_account_id,
          owner_account_id, amount, balance_after, account_version, timestamp, business_day,
          task_id)
        SELECT uuidv7(), kind, debit_account_id, credit_account_id, owner_account_id, amount, 0,
               account_version + 1000, timestamp, business_day, task_id
        FROM account_transfers WHERE kind = 'assign_fee' LIMIT 1""",
    "each fee and reward is its assignee's, at the task's price": """
        UPDATE account_transfers SET amount = amount + 1
        WHERE id = (SELECT min(id) FROM account_transfers)""",
    "each log entry's event is in the log of events": """
        DELETE FROM outbox WHERE event_id = (SELECT event_id FROM logs LIMIT 1)""",
    "each task follows create, assign*, complete": """
        DELETE FROM logs WHERE type = 'create' AND task_id = (SELECT min(task_id) FROM logs)""",
    "each task is as its log tells": """
        UPDATE tasks SET is_finished = false, finished_at = NULL
        WHERE id = (SELECT min(id) FROM tasks WHERE is_finished)""",
    "each balance is the sum of its transfers": """
        UPDATE accounts SET balance = balance + 1 WHERE id =
          (SELECT min(id) FROM accounts WHERE kind = 'employee')""",
    "each balance after a transfer is that before and the transfer": """
        UPDATE account_transfers SET balance_after = balance_after + 1
        WHERE id = (SELECT min(id) FROM account_transfers)""",
    "each account's day is the sum of its transfers": """
        UPDATE account_days SET fees = fees + 1""",
    "each day's income is its fees less its rewards": """
        UPDATE ledger_days SET rewards = rewards + 1""",
    "each payout is one transfer and one mail": """
        DELETE FROM emails WHERE id = (SELECT min(id) FROM emails)""",
    "each payout transfer is a payout's": """
        DELETE FROM payouts WHERE id = (SELECT min(id) FROM payouts)""",
    "a closed day left no balance of its end above zero": """
        DELETE FROM account_transfers WHERE kind = 'payout'""",
    "a closed day's totals are its transfers'": """
        UPDATE business_days SET paid_total = paid_total + 1 WHERE status = 'closed'""",
    "no event is parked": """
        INSERT INTO dead_letters (consumer, event_id, xid, outbox_id, type, cause, fingerprint)
        SELECT 'accounting', event_id, xid, id, type, 'made up', '' FROM outbox LIMIT 1""",
    "no event waits": """
        UPDATE outbox_cursors SET xid = '0', id = 0""",
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
    assert SABOTAGE.keys() == CHECKS.keys()


def test_each_broken_rule_is_found(superuser: psycopg.Connection[Any]) -> None:
    for rule, sabotage in SABOTAGE.items():
        with superuser.transaction(force_rollback=True):
            done = superuser.execute(sabotage)
            assert done.rowcount > 0, f"{rule}: nothing was broken"
            assert rule in findings(superuser), rule


def _tomorrow(session: Any) -> None:
    day = clock.today(session, "UTC") + timedelta(days=1)
    clock.move_to(session, clock.start_of(session, day, "UTC"))
