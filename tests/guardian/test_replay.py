"""The ledger rebuilt from the log is the live one, until somebody tampers with either."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy import event

from app.accounting.commands import ACCOUNTING, approve_correction, request_correction
from app.guardian.replay import SCHEMA, compare, rebuild
from app.kernel.policy import Role
from app.kernel.settings import Settings
from app.outbox import relay
from app.tasks import commands as tasks
from embedded.postgres import Cluster
from tests.company import Company
from tests.conftest import User
from tests.guardian.played import play

# What a superuser does, and the part of the comparison that must show it.
TAMPERING: dict[str, tuple[str, ...]] = {
    "UPDATE account_transfers SET amount = amount + 1 WHERE id = 1": ("transfers",),
    "DELETE FROM account_transfers WHERE id = (SELECT max(id) FROM account_transfers)": (
        "transfers",
    ),
    """INSERT INTO account_transfers (event_id, kind, debit_account_id, credit_account_id,
         owner_account_id, amount, balance_after, account_version, timestamp, business_day,
         task_id)
       SELECT uuidv7(), kind, debit_account_id, credit_account_id, owner_account_id, amount, 0,
         account_version + 1000, timestamp, business_day, task_id
       FROM account_transfers LIMIT 1""": ("transfers",),
    "UPDATE account_transfers SET business_day = business_day + 1 WHERE id = 1": ("transfers",),
    "UPDATE account_transfers SET balance_after = balance_after + 1 WHERE id = 1": (
        "running balances",
    ),
    "UPDATE accounts SET balance = balance + 1 WHERE kind = 'employee'": ("balances",),
    "UPDATE account_days SET fees = fees + 1": ("accounts' days",),
    "UPDATE ledger_days SET fees = fees + 1": ("days",),
    "UPDATE task_prices SET assign_price = assign_price + 1": ("transfers", "balances", "days"),
    "DELETE FROM task_prices WHERE task_id = 1": ("prices",),
    "DELETE FROM outbox WHERE type = 'TaskCompleted'": ("transfers", "balances", "board's log"),
}


@pytest.fixture
def tamperer(
    app: Flask, cluster: Cluster, database: str, make_user: Callable[..., User]
) -> Iterator[sa.Connection]:
    """A superuser whom no trigger or foreign key holds back, on a company that has worked."""
    play(app, make_user)
    engine = sa.create_engine(
        cluster.superuser_url(database).replace("postgresql:", "postgresql+psycopg:"),
        connect_args={"options": "-c session_replication_role=replica"},
    )
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def test_the_log_makes_the_ledger(
    tamperer: sa.Connection,
    settings: Settings,
    company: Company,
    call: Callable[..., Any],
    make_user: Callable[..., User],
) -> None:
    asks, approves = make_user(Role.ACCOUNTANT), make_user(Role.ADMINISTRATOR)
    correction = call(request_correction, asks.actor, 1, reason="a slip")
    call(approve_correction, approves.actor, correction.id)
    compared = {part.part: part for part in rebuild(settings)}
    assert {name: part.first for name, part in compared.items() if part.differ} == {}
    transfers = company.value("SELECT count(*) FROM account_transfers")
    assert compared["transfers"].rows == transfers > 20
    assert company.value("SELECT to_regnamespace(:name) IS NULL", name=SCHEMA)


@contextmanager
def beside_the_comparison(work: Callable[[], None]) -> Iterator[None]:
    """Do something once while the transaction of the comparison is under way."""
    left = [work]

    @event.listens_for(sa.Engine, "after_cursor_execute")
    def look(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if left and "shadow_transfers" in statement:
            left.pop()()

    try:
        yield
    finally:
        event.remove(sa.Engine, "after_cursor_execute", look)
    assert not left


def test_the_relay_goes_on_during_a_rebuild(
    tamperer: sa.Connection,
    settings: Settings,
    call: Callable[..., Any],
    make_user: Callable[..., User],
) -> None:
    manager = make_user(Role.MANAGER).actor
    drained: list[relay.Drained] = []

    def create_and_relay() -> None:
        call(tasks.create_task, manager, name="Created meanwhile")
        drained.append(call(relay.drain, ACCOUNTING, patience_s=0))

    with beside_the_comparison(create_and_relay):
        assert [part for part in rebuild(settings) if part.differ] == []
    # The control: a transaction that has written anything at all.
    with tamperer.begin():
        tamperer.execute(sa.text("SELECT pg_current_xact_id()"))
        create_and_relay()
    assert drained == [relay.Drained(1), relay.Drained(0, in_flight=True)]


def test_each_tampering_is_shown(tamperer: sa.Connection) -> None:
    for tampering, parts in TAMPERING.items():
        assert tamperer.execute(sa.text(tampering)).rowcount > 0
        shown = {part.part for part in compare(tamperer, "UTC") if part.differ}
        assert shown >= set(parts), tampering
        tamperer.rollback()


def test_a_difference_ends_the_command_with_1(app: Flask, tamperer: sa.Connection) -> None:
    runner = app.test_cli_runner()
    assert runner.invoke(args=["ledger", "rebuild"]).exit_code == 2
    sound = runner.invoke(args=["ledger", "rebuild", "--shadow"])
    assert sound.exit_code == 0, sound.output
    tamperer.execute(sa.text("UPDATE accounts SET balance = balance + 1 WHERE user_id > 0"))
    tamperer.commit()
    wrong = runner.invoke(args=["ledger", "rebuild", "--shadow"])
    assert wrong.exit_code == 1
    assert "balances: account=" in wrong.output
