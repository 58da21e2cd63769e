"""The emergency stop: nothing commits after it, reading goes on, people are told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from flask import Flask
from sqlalchemy.exc import DBAPIError

from app.accounting.commands import ACCOUNTING, pay_to_workers
from app.guardian.commands import stop
from app.guardian.commands.stopping import fence
from app.kernel import system
from app.kernel.db import db, in_transaction
from app.kernel.errors import BadInput, Forbidden, Stopped
from app.kernel.policy import Role
from app.kernel.settings import Settings
from app.outbox import relay
from app.tasks import commands as tasks
from app.tasks.models import Draft
from tests.company import Company
from tests.conftest import User

HANDS = 6


def test_a_stop_refuses_every_kind_of_change(
    call: Callable[..., Any], company: Company, make_user: Callable[..., User]
) -> None:
    manager, worker = make_user(Role.MANAGER), make_user()
    accountant = make_user(Role.ACCOUNTANT)
    made = call(tasks.create_task, manager.actor, name="before the stop")
    incident = call(stop, None, reason="a drill", origin="command line")
    doer = worker if made.assigned_to == worker.id else accountant
    refused = [
        (tasks.create_task, (manager.actor,), {"name": "x"}),
        (tasks.complete_task, (doer.actor, made.task_id), {}),
        (tasks.reassign_tasks, (manager.actor,), {}),
        (relay.deliver_batch, (ACCOUNTING,), {}),
    ]
    for command, arguments, options in refused:
        with pytest.raises(Stopped) as stopped:
            call(command, *arguments, **options)
        assert stopped.value.incident == incident
    with pytest.raises(Stopped):
        call(pay_to_workers, accountant.actor)
    assert company.value("SELECT count(*) FROM account_transfers") == 0
    assert company.value("SELECT count(*) FROM dead_letters") == 0


def test_a_stop_is_told_of_and_written_down(
    call: Callable[..., Any], company: Company, make_user: Callable[..., User]
) -> None:
    admin = make_user(Role.ADMINISTRATOR)
    incident = call(stop, admin.actor, reason="  a drill ", origin="page")
    again = call(stop, None, reason="another", origin="command line")
    assert again == incident, "a second stop joins the first"
    lines = company.rows("SELECT actor_id, details FROM audit_log WHERE action = 'stop'")
    assert [(line.actor_id, line.details["reason"]) for line in lines] == [(admin.id, "a drill")]
    assert company.value("SELECT status FROM system_state") == "stopped"


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.ADMINISTRATOR])
def test_only_an_administrator_stops(
    call: Callable[..., Any], make_user: Callable[..., User], role: Role
) -> None:
    with pytest.raises(Forbidden):
        call(stop, make_user(role).actor, reason="no", origin="page")


def test_a_stop_needs_a_reason(call: Callable[..., Any]) -> None:
    with pytest.raises(BadInput):
        call(stop, None, reason="  ", origin="command line")


def test_a_stop_waits_for_who_passed_before_and_refuses_who_comes_after(
    app: Flask,
    call: Callable[..., Any],
    company: Company,
    settings: Settings,
    make_user: Callable[..., User],
) -> None:
    manager = make_user(Role.MANAGER)
    make_user()
    with psycopg.connect(settings.database_url, options="-c role=ates_app") as under_way:
        under_way.execute("UPDATE business_clock SET shift = shift")
        with ThreadPoolExecutor(1) as pool:
            stopping = pool.submit(call, stop, None, reason="a drill", origin="command line")
            _wait_for(lambda: company.value("SELECT status FROM system_state") == "stopping")
            began = time.monotonic()
            with pytest.raises(Stopped):
                call(tasks.create_task, manager.actor, name="too late")
            assert time.monotonic() - began < 1, "a new change is refused at once"
            assert not stopping.done()
            under_way.commit()
            stopping.result(timeout=5)
    assert company.value("SELECT status FROM system_state") == "stopped"


def test_a_stop_that_is_not_seen_through_is_finished_later(
    call: Callable[..., Any], company: Company, settings: Settings
) -> None:
    with psycopg.connect(settings.database_url, options="-c role=ates_app") as under_way:
        under_way.execute("UPDATE business_clock SET shift = shift")
        call(stop, None, reason="a drill", origin="command line", patience_s=0)
        assert company.value("SELECT status FROM system_state") == "stopping"
        under_way.rollback()
    assert call(fence)
    assert company.value("SELECT status FROM system_state") == "stopped"


def test_no_change_commits_after_a_stop(
    app: Flask, company: Company, make_user: Callable[..., User]
) -> None:
    counted, later = _changes_at_and_after_a_stop(app, company, make_user)
    assert counted == later > 0


def test_control_without_the_fence_changes_commit_after_a_stop(
    app: Flask,
    company: Company,
    make_user: Callable[..., User],
    superuser: psycopg.Connection[Any],
) -> None:
    for table in ("tasks", "logs", "outbox"):
        superuser.execute(f"DROP TRIGGER {table}_fence ON {table}")
    counted, later = _changes_at_and_after_a_stop(app, company, make_user)
    assert later > counted


@pytest.mark.parametrize(
    "sabotage",
    [
        "DELETE FROM system_state",
        "REVOKE SELECT ON system_state FROM ates_app",
        "ALTER TABLE system_state RENAME TO gone",
    ],
)
def test_a_state_that_cannot_be_read_counts_as_stopped(
    call: Callable[..., Any],
    company: Company,
    make_user: Callable[..., User],
    superuser: psycopg.Connection[Any],
    sabotage: str,
) -> None:
    manager = make_user(Role.MANAGER)
    make_user()
    call(tasks.create_task, manager.actor, name="while it runs")
    superuser.execute(sabotage)
    with pytest.raises((Stopped, DBAPIError)):
        call(tasks.create_task, manager.actor, name="in the dark")
    assert company.value("SELECT count(*) FROM tasks") == 1


def test_an_old_snapshot_does_not_pass_the_fence(
    settings: Settings, superuser: psycopg.Connection[Any]
) -> None:
    with psycopg.connect(settings.database_url, options="-c role=ates_app") as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.execute("SELECT 1")
        with pytest.raises(psycopg.errors.InvalidTransactionState):
            connection.execute("UPDATE business_clock SET shift = shift")


def test_a_temporary_table_does_not_stand_in_for_the_state(
    call: Callable[..., Any], settings: Settings, superuser: psycopg.Connection[Any]
) -> None:
    superuser.execute(f"GRANT TEMPORARY ON DATABASE {superuser.info.dbname} TO ates_app")
    call(stop, None, reason="a drill", origin="command line")
    with psycopg.connect(settings.database_url, options="-c role=ates_app") as connection:
        connection.execute("CREATE TEMPORARY TABLE system_state AS SELECT 'running' AS status")
        with pytest.raises(psycopg.OperationalError, match="stopped"):
            connection.execute("UPDATE business_clock SET shift = shift")


def _changes_at_and_after_a_stop(
    app: Flask, company: Company, make_user: Callable[..., User]
) -> tuple[int, int]:
    """How many log rows there are when a stop has committed, and a second after it."""
    manager = make_user(Role.MANAGER)
    make_user()
    enough = threading.Event()

    def work() -> None:
        with app.app_context():
            while not enough.is_set():
                try:
                    tasks.create_tasks(manager.actor, [Draft(f"Task {n}") for n in range(3)])
                except Stopped:
                    db.session.rollback()
            db.session.remove()

    with ThreadPoolExecutor(HANDS) as pool:
        hands = [pool.submit(work) for _ in range(HANDS)]
        _wait_for(lambda: company.value("SELECT count(*) FROM logs") > 30)
        with app.app_context():
            stop(None, reason="a drill", origin="command line")
        counted = company.value("SELECT count(*) FROM logs")
        time.sleep(1)
        enough.set()
        for hand in hands:
            hand.result()
    return counted, company.value("SELECT count(*) FROM logs")


def _wait_for(condition: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < give_up_at
        time.sleep(0.01)


def test_the_state_says_who_stopped(
    call: Callable[..., Any], make_user: Callable[..., User]
) -> None:
    admin = make_user(Role.ADMINISTRATOR)
    call(stop, admin.actor, reason="a drill", origin="page")
    found = call(in_transaction, system.state)
    assert (found.is_stopped, found.reason, found.changed_by) == (True, "a drill", admin.login)
