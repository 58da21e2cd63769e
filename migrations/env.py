"""Alembic's environment: migrations run as the owner, one transaction each.

DDL waits at most `lock_timeout` for a lock, so that a migration under load gives up and can be
run again rather than queueing every writer behind it.
"""

from __future__ import annotations

from alembic import context
from flask import current_app
from sqlalchemy import Connection, create_engine, text

from app.kernel.db import Base
from app.kernel.settings import Settings

HAS_CURRENCY = text("""
SELECT EXISTS (SELECT FROM information_schema.columns WHERE table_schema = 'public'
               AND table_name = 'accounts' AND column_name = 'currency')
""")
CURRENCY = text("SELECT currency FROM accounts WHERE kind = 'company_income'")
OPTIONS = "-c lock_timeout=10000 -c statement_timeout=0"


def _run() -> None:
    settings: Settings = current_app.config["SETTINGS"]
    engine = create_engine(
        settings.sqlalchemy_migration_url,
        connect_args={"options": OPTIONS, "connect_timeout": 5},
    )
    try:
        with engine.connect() as connection:
            context.configure(
                connection=connection,
                target_metadata=Base.metadata,
                transaction_per_migration=True,
                compare_type=True,
            )
            with context.begin_transaction():
                context.run_migrations()
            _refuse_another_currency(connection, settings.currency)
    finally:
        engine.dispose()


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
