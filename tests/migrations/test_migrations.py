"""The migrations go up and down, and the models say what the tables are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from flask import Flask
from flask_migrate import downgrade, upgrade
from sqlalchemy.exc import DBAPIError

from app.accounting import models as _accounting  # noqa: F401 - fills the metadata
from app.kernel.db import Base
from app.notifications import models as _notifications  # noqa: F401 - fills the metadata
from app.payments import models as _payments  # noqa: F401 - fills the metadata
from app.tasks import models as _tasks  # noqa: F401 - fills the metadata
from embedded.postgres import Cluster

FOLDER = str(Path(__file__).parents[2] / "migrations")
# Everything that a migration can leave behind: tables, types, functions, extensions.
LEFT_BEHIND = """
SELECT 'table ' || relname FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'S')
  AND relname <> 'alembic_version'
UNION ALL SELECT 'type ' || typname FROM pg_type
WHERE typnamespace = 'public'::regnamespace AND typtype = 'e'
UNION ALL SELECT 'function ' || proname FROM pg_proc
WHERE pronamespace = 'public'::regnamespace
UNION ALL SELECT 'extension ' || extname FROM pg_extension WHERE extname <> 'plpgsql'
"""


COLUMNS = """
SELECT table_name, column_name, is_nullable = 'YES' FROM information_schema.columns
WHERE table_schema = 'public'
"""
APPEND_ONLY = (
    "account_transfers",
    "logs",
    "outbox",
    "task_prices",
    "payouts",
    "audit_log",
    "reassignments",
)
NOT_DIVIDED, DIVIDED = "0018_log_order", "0019_outbox_partitions"
NOT_MODELLED = {"xid"}  # SQLAlchemy does not know the type, and no code reads it through a model


def test_down_leaves_nothing_and_up_works_again(
    app: Flask, cluster: Cluster, database: str
) -> None:
    with app.app_context():
        downgrade(directory=FOLDER, revision="base")
    with psycopg.connect(cluster.superuser_url(database)) as connection:
        assert connection.execute(LEFT_BEHIND).fetchall() == []

    with app.app_context():
        upgrade(directory=FOLDER)
    with psycopg.connect(cluster.superuser_url(database)) as connection:
        assert ("table account_transfers",) in connection.execute(LEFT_BEHIND).fetchall()


def test_another_currency_than_the_ledgers_is_refused(make_app: Callable[..., Flask]) -> None:
    with make_app(currency="EUR").app_context(), pytest.raises(SystemExit, match="is in USD"):
        upgrade(directory=FOLDER)


def test_a_new_ledger_is_in_the_currency_of_the_settings(
    make_app: Callable[..., Flask], cluster: Cluster, database: str
) -> None:
    with make_app(currency="EUR").app_context():
        downgrade(directory=FOLDER, revision="0009_reports")
        upgrade(directory=FOLDER)
    with psycopg.connect(cluster.superuser_url(database)) as connection:
        found = connection.execute("SELECT DISTINCT currency FROM accounts").fetchall()
    assert found == [("EUR",)]


def test_each_step_down_and_up_again(app: Flask, cluster: Cluster, database: str) -> None:
    scripts = sorted(path.stem for path in (Path(FOLDER) / "versions").glob("0*.py"))
    with app.app_context():
        for _step in scripts[1:]:
            downgrade(directory=FOLDER)
            upgrade(directory=FOLDER, revision="+1")
            downgrade(directory=FOLDER)
    with psycopg.connect(cluster.superuser_url(database)) as connection:
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        assert row == (scripts[0],)


def test_the_log_is_divided_and_united_with_all_its_events(
    app: Flask, cluster: Cluster, database: str
) -> None:
    write = "INSERT INTO outbox (type, schema_version) VALUES ('TaskCreated', 1) RETURNING id"
    with (
        psycopg.connect(cluster.app_url(database), autocommit=True) as writer,
        psycopg.connect(cluster.owner_url(database), autocommit=True) as owner,
    ):
        for step in (downgrade, upgrade, downgrade, upgrade):
            before = [writer.execute(write).fetchone() for _ in range(3)]
            log = owner.execute("SELECT * FROM outbox ORDER BY xid, id").fetchall()
            with app.app_context():
                step(directory=FOLDER, revision=DIVIDED if step is upgrade else NOT_DIVIDED)
            assert owner.execute("SELECT * FROM outbox ORDER BY xid, id").fetchall() == log
            assert log[-1][1] == before[-1][0] == len(log)
        owner.execute(
            "UPDATE outbox_partitions SET archived_at = now(), file = '', events = 0,"
            " board_events = 0, file_sha256 = sha256(''), content_sha256 = sha256('')"
            " WHERE xid_from = '0'"
        )
        with app.app_context(), pytest.raises(DBAPIError, match="archived"):
            downgrade(directory=FOLDER, revision=NOT_DIVIDED)


def test_the_models_say_what_the_tables_are(cluster: Cluster, database: str, template: str) -> None:
    with psycopg.connect(cluster.owner_url(database)) as connection:
        columns = connection.execute(COLUMNS).fetchall()
    for name, table in Base.metadata.tables.items():
        actual = {column: nullable for of, column, nullable in columns if of == name}
        declared = {column.name: column.nullable for column in table.columns}
        assert declared == {column: actual.get(column) for column in declared}, name
        assert actual.keys() - declared.keys() <= NOT_MODELLED, name


def test_the_application_cannot_change_what_was_written(
    cluster: Cluster, database: str, template: str
) -> None:
    with psycopg.connect(cluster.app_url(database), autocommit=True) as connection:
        for table in APPEND_ONLY:
            may_update = connection.execute(
                "SELECT has_any_column_privilege(current_user, %s, 'UPDATE')", [table]
            ).fetchone()
            assert may_update == (False,), table
            for statement in (f"DELETE FROM {table}", f"TRUNCATE {table}"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(statement)


def test_a_trigger_refuses_even_the_owner(cluster: Cluster, database: str, template: str) -> None:
    with psycopg.connect(cluster.owner_url(database), autocommit=True) as connection:
        for table in APPEND_ONLY:
            for statement in (f"DELETE FROM {table}", f"TRUNCATE {table} CASCADE"):
                with pytest.raises(psycopg.errors.IntegrityConstraintViolation):
                    connection.execute(statement)
