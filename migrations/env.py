"""Alembic's environment: migrations run as the owner, one transaction each.

DDL waits at most `lock_timeout` for a lock, so that a migration under load gives up and can be
run again rather than queueing every writer behind it.
"""

from __future__ import annotations

from alembic import context
from flask import current_app
from sqlalchemy import create_engine

from app.kernel.db import Base
from app.kernel.settings import Settings

OPTIONS = "-c lock_timeout=10000 -c statement_timeout=0"


def _run() -> None:
    settings: Settings = current_app.config["SETTINGS"]
    engine = create_engine(
        settings.sqlalchemy_migration_url,
        connect_args={"options": OPTIONS, "connect_timeout": 5},
    )
    with engine.connect() as connection:
        context.configure(
            connection=connection,
            target_metadata=Base.metadata,
            transaction_per_migration=True,
            compare_type=True,
        )
        with context.begin_transaction():
            context.run_migrations()
    engine.dispose()


if context.is_offline_mode():
    raise SystemExit("aTES migrations need a database: offline mode is not supported")
_run()
