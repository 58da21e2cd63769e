"""Rebase: a log from elsewhere goes on here, whole, in order, and without anything told twice."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from flask import Flask

from app import create_app
from app.accounting import commands as accounting
from app.guardian import commands as guardian
from app.guardian.replay import rebuild
from app.kernel import clock
from app.kernel.actor import Actor
from app.kernel.db import db, in_transaction
from app.kernel.errors import Stopped
from app.kernel.policy import Role
from app.kernel.settings import Settings
from app.notifications.consumer import CONSUMER as NOTIFICATIONS
from app.outbox import relay
from app.outbox.rebase import Rebased, rebase
from app.tasks import commands as tasks
from app.tasks.models import Draft
from embedded.pgdata import program
from embedded.postgres import DATABASE, Cluster
from tests.company import Company
from tests.conftest import User
from tests.guardian.played import play
from tests.oracle import findings
from tests.outbox.log import run_ahead

WRONG_PLACE = "the log and its cursors are of this database"
# The function as it is on a server whose own transactions are as many as the log's.
ONLY_ITS_OWN = """
CREATE OR REPLACE FUNCTION log_xid(server xid8) RETURNS xid8
  LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE RETURN server
"""
LEDGER = """
SELECT md5(string_agg(concat_ws(',', event_id, amount, balance_after), ';' ORDER BY id))
FROM account_transfers
"""
CURSOR = "SELECT epoch, xid::text::bigint, id FROM outbox_cursors WHERE consumer = 'accounting'"


@pytest.fixture
def superuser(cluster: Cluster, database: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(cluster.superuser_url(database), autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        yield connection


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Cluster]:
    """Another server, which has hardly begun to count."""
    with Cluster(tmp_path / "other", durable=False) as cluster:
        yield cluster


def load(source: str, target: str, file: Path) -> None:
    """Dump one database and restore it as another."""
    for words in (
        ["pg_dump", "--format=custom", "--file", str(file), source],
        ["pg_restore", "--exit-on-error", "--dbname", target, str(file)],
    ):
        command = [str(program(words[0])), *words[1:]]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def create(actor: Actor, *names: str) -> None:
    tasks.create_tasks(actor, [Draft(name) for name in names])


def test_a_dump_loaded_into_another_server_goes_on_there(
    app: Flask,
    cluster: Cluster,
    database: str,
    other: Cluster,
    settings: Settings,
    make_user: Callable[..., User],
    tmp_path: Path,
) -> None:
    manager = make_user(Role.MANAGER).actor
    with psycopg.connect(cluster.owner_url(database), autocommit=True) as owner:
        run_ahead(owner, 11_000_000)
    play(app, make_user)
    accountant = make_user(Role.ACCOUNTANT).actor
    with app.app_context():
        create(manager, "Told nobody yet", "Nor this")
    load(cluster.superuser_url(database), other.superuser_url(DATABASE), tmp_path / "dump")
    with psycopg.connect(other.owner_url(), autocommit=True) as owner:
        owner.execute(ONLY_ITS_OWN)
    other.create_database("control", template=DATABASE)

    assert lost_without_the_guard(settings, other, manager) == 1
    with running_on(settings, other, DATABASE) as moved:
        with pytest.raises(Stopped, match="rebase"):
            create(manager, "Would be stepped over")
        assert WRONG_PLACE in {found.check_name for found in guardian.check_increment()}
        guardian.stop(None, reason="the guardian would", origin="guardian")

        before = value(moved, CURSOR)
        done = rebase(moved)
        assert done.epoch == 2
        assert done.grew_by == done.ahead > 10_000_000
        assert value(moved, CURSOR) == (2, *before[1:])
        guardian.resume(None, reason="rebased")
        assert relay.drain(accounting.ACCOUNTING) == relay.Drained(2)

        create(manager, "Written here")
        assert relay.drain(accounting.ACCOUNTING) == relay.Drained(1)
        in_transaction(
            lambda session: clock.move_to(session, datetime.now(UTC) + timedelta(days=2))
        )
        accounting.pay_to_workers(accountant)
        relay.drain(accounting.ACCOUNTING)
        assert guardian.check_increment() == []
        assert guardian.check_everything() == []
        assert [part for part in rebuild(moved) if part.differ] == []
        with psycopg.connect(moved.database_url) as connection:
            assert findings(connection) == {}
        assert rebase(moved) == Rebased(done.ahead, 0, 3, ())


def lost_without_the_guard(settings: Settings, other: Cluster, actor: Actor) -> int:
    """How many events are stepped over where nothing refuses to write them."""
    with psycopg.connect(other.owner_url("control"), autocommit=True) as owner:
        owner.execute("ALTER TABLE outbox DISABLE TRIGGER outbox_order")
    with running_on(settings, other, "control") as control:
        create(actor, "Stepped over")
        assert relay.drain(accounting.ACCOUNTING, patience_s=0).events == 0
        return int(value(control, "SELECT count(*) FROM outbox o JOIN tasks t ON t.id = o.task_id"
                                  " WHERE t.name = 'Stepped over'")[0])  # fmt: skip


@contextmanager
def running_on(settings: Settings, server: Cluster, database: str) -> Iterator[Settings]:
    """The application on a database of another server."""
    moved = replace(
        settings,
        database_url=server.app_url(database),
        migration_database_url=server.owner_url(database),
    )
    with create_app(moved).app_context():
        try:
            yield moved
        finally:
            db.session.remove()
            db.engine.dispose()


def value(settings: Settings, statement: str) -> tuple[Any, ...]:
    """The one row that a statement says."""
    with psycopg.connect(settings.database_url) as connection:
        row = connection.execute(statement).fetchone()
    assert row is not None
    return tuple(row)


# How a cursor comes to name no event: somebody moved it, or the log's newest events are gone.
NAMES_NO_EVENT = (
    "UPDATE outbox_cursors SET xid = '9000000000000', id = 9",
    "UPDATE outbox_cursors SET id = id + 1000000",
    "DELETE FROM outbox WHERE (xid, id) = (SELECT xid, id FROM outbox_cursors)",
)


def test_a_cursor_that_names_no_event_goes_back_to_the_beginning(
    app: Flask,
    call: Callable[..., Any],
    company: Company,
    make_user: Callable[..., User],
    settings: Settings,
    superuser: psycopg.Connection[Any],
) -> None:
    play(app, make_user)
    ledger, events = company.value(LEDGER), company.value("SELECT count(*) FROM outbox")
    for epoch, sabotage in enumerate(NAMES_NO_EVENT, start=2):
        assert call(guardian.check_increment) == []
        superuser.execute(sabotage)
        [found] = call(guardian.check_increment)
        assert found.check_name == WRONG_PLACE
        assert found.is_money
        assert call(rebase, settings) == Rebased(0, 0, epoch, ("accounting",))
        events -= sabotage.startswith("DELETE")
        assert company.post() == relay.Drained(events)
        assert company.value(LEDGER) == ledger


TOLD = "SELECT id, user_id, given, kept, taken, paid FROM notifications ORDER BY id"


def test_people_are_told_nothing_twice_when_a_cursor_is_lost(
    app: Flask,
    call: Callable[..., Any],
    company: Company,
    make_user: Callable[..., User],
    settings: Settings,
    superuser: psycopg.Connection[Any],
) -> None:
    play(app, make_user)
    call(relay.drain, NOTIFICATIONS)
    told, events = company.rows(TOLD), company.value("SELECT count(*) FROM outbox")
    assert told
    superuser.execute("UPDATE outbox_cursors SET id = id + 1000000")
    assert call(rebase, settings).lost_cursors == ("accounting", "notifications")
    assert call(relay.drain, NOTIFICATIONS).events == events
    assert company.rows(TOLD) == told
    # The control: with nothing known of what was told, all of it is.
    superuser.execute("DELETE FROM notification_events; DELETE FROM notifications")
    superuser.execute("UPDATE outbox_cursors SET id = id + 1000000")
    call(rebase, settings)
    call(relay.drain, NOTIFICATIONS)
    again = company.rows(TOLD)
    assert [row[1:] for row in again] == [row[1:] for row in told]
    assert again[0].id > told[-1].id


def test_a_sound_log_is_left_as_it_is(
    app: Flask, company: Company, make_user: Callable[..., User], settings: Settings
) -> None:
    play(app, make_user)
    before = company.rows(CURSOR)
    runner = app.test_cli_runner()
    done = runner.invoke(args=["outbox", "rebase"])
    assert done.exit_code == 0, done.output
    assert "No part of the log is ahead of this server." in done.output
    [(epoch, *place)] = before
    assert company.rows(CURSOR) == [(epoch + 1, *place)]
    assert company.value("SELECT log_xid('7')::text") == "7"
    assert company.value("SELECT count(*) FROM audit_log WHERE action = 'rebase_log'") == 1
    assert company.broken_rules() == {}
    refused = create_app(replace(settings, migration_database_url=settings.database_url))
    answer = refused.test_cli_runner().invoke(args=["outbox", "rebase"])
    assert answer.exit_code == 1
    assert "MIGRATION_DATABASE_URL" in answer.output
