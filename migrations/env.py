"""Alembic's environment: migrations run as the owner, one transaction each.

Whoever wants a table that a migration waits for queues behind it. So DDL waits for a lock for a
shorter time than a request does, lets the others go on, and tries again; a migration that was cut
off is taken up where it was. A server whose migration was killed notices within a second, and
gives back what it had locked.
"""

from __future__ import annotations

import time

from alembic import context
from flask import current_app
from psycopg import errors as pg
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import DBAPIError

from app.kernel.db import Base
from app.kernel.settings import Settings

HAS_CURRENCY = text("""
SELECT EXISTS (SELECT FROM information_schema.columns WHERE table_schema = 'public'
               AND table_name = 'accounts' AND column_name = 'currency')
""")
CURRENCY = text("SELECT currency FROM accounts WHERE kind = 'company_income'")
OPTIONS = "-c lock_timeout=2000 -c client_connection_check_interval=1000 -c statement_timeout=0"
ATTEMPTS = 20
PAUSE_S = 1.0


def _run() -> None:
    settings: Settings = current_app.config["SETTINGS"]
    engine = create_engine(
        settings.sqlalchemy_migration_url,
        connect_args={
            "options": OPTIONS,
            "connect_timeout": 5,
            "application_name": "ates-migration",
        },
    )
    try:
        _migrate_patiently(engine)
        with engine.connect() as connection:
            _refuse_another_currency(connection, settings.currency)
    finally:
        engine.dispose()


def _migrate_patiently(engine: Engine) -> None:
    """Migrate; go on from where a lock could not be had, after a pause for those who wait."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with engine.connect() as connection:
                _migrate(connection)
        except DBAPIError as error:
            if not isinstance(error.orig, pg.LockNotAvailable):
                raise
            if attempt == ATTEMPTS:
                raise SystemExit(
                    "Error: a lock could not be had, others use the table: run it again"
                ) from error
            time.sleep(PAUSE_S)
        else:
            return


def _migrate(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        transaction_per_migration=True,
        compare_type=True,
    )
    with context.begin_transaction():
        context.run_migrations()


def _refuse_another_currency(connection: Connection, wanted: str) -> None:
    """End with one line when CURRENCY is not the ledger's: its amounts would be called another."""
    if not connection.execute(HAS_CURRENCY).scalar_one():
        return
    currency = connection.execute(CURRENCY).scalar_one()
    if currency != wanted:
        raise SystemExit(
            f"Error: the ledger is in {currency}: set CURRENCY={currency}, or begin a new ledger"
        )


if context.is_offline_mode():
    raise SystemExit("aTES migrations need a database: offline mode is not supported")
_run()
