"""Where measuring happens: embedded servers in a folder that is thrown away, and databases on them.

The servers are those of `bin/run` with its settings: fsync and checksums are on.
"""

from __future__ import annotations

import gc
import itertools
import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import structlog
from flask import Flask

from app import create_app
from app.kernel.db import db
from app.kernel.settings import Settings
from embedded.postgres import DATABASE, Cluster
from embedded.programs import migrate
from embedded.settings import ROOT
from embedded.valkey import Server
from worker import GC_THRESHOLD

Connection = psycopg.Connection[Any]


class Stage:
    """Running servers, with a migrated database that others are copied from."""

    def __init__(self, folder: Path, cluster: Cluster, valkey: Server) -> None:
        self.folder = folder
        self.cluster = cluster
        self.valkey = valkey
        self._numbers = itertools.count(1)
        migrate(logs=self.logs, env=self.env(DATABASE))

    @property
    def logs(self) -> Path:
        """The folder of what the processes say."""
        return self.folder / "logs"

    def copy(self, template: str = DATABASE) -> str:
        """The name of a new database, a copy of `template`, with all of it on disk."""
        name = f"bench_{next(self._numbers)}"
        self.cluster.create_database(name, template=template)
        self.checkpoint()
        return name

    def drop(self, name: str) -> None:
        """Forget a database."""
        with psycopg.connect(self.cluster.superuser_url(), autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def keep(self, name: str) -> None:
        """Make a database that stays in the folder if there is none, and migrate it."""
        with psycopg.connect(self.cluster.superuser_url(), autocommit=True) as connection:
            found = connection.execute("SELECT FROM pg_database WHERE datname = %s", [name])
        if not found.rowcount:
            self.cluster.create_database(name, template=DATABASE)
        migrate(logs=self.logs, env=self.env(name))

    def checkpoint(self) -> None:
        """Write out what is dirty, so that no side pays for what the one before it wrote."""
        with psycopg.connect(self.cluster.superuser_url(), autocommit=True) as connection:
            connection.execute("CHECKPOINT")

    def env(self, database: str) -> dict[str, str]:
        """The environment of a process of aTES that works on `database`."""
        return {
            **os.environ,
            "ATES_DATA": str(self.folder),
            "ATES_DEMO": "0",
            "COOKIE_SECURE": "0",
            "DATABASE_URL": self.cluster.app_url(database),
            "MIGRATION_DATABASE_URL": self.cluster.owner_url(database),
            "PYTHONPATH": str(ROOT),
            "REDIS_URL": self.valkey.url,
            "SECRET_KEY": "a secret of nobody, for measuring only",
            "TZ": "UTC",
        }

    def superuser(self, database: str) -> Connection:
        """A connection that may do anything, for making and undoing data."""
        return psycopg.connect(self.cluster.superuser_url(database), autocommit=True)

    def app_role(self, database: str) -> Connection:
        """A connection with the rights of the application, for the bare side of a ratio."""
        return psycopg.connect(self.cluster.app_url(database), autocommit=True)

    @contextmanager
    def app(self, database: str) -> Iterator[Flask]:
        """The application on `database`, in a context, as a worker has it."""
        app = create_app(Settings.from_env(self.env(database)), process="worker")
        quiet()
        gc.set_threshold(GC_THRESHOLD)
        with app.app_context():
            db.session.execute(db.text("SELECT 1"))  # connected, as a process is that has worked
            db.session.rollback()
            try:
                yield app
            finally:
                db.session.remove()
                db.engine.dispose()

    @contextmanager
    def web(self, database: str) -> Iterator[Flask]:
        """The application on `database` as a web process has it, for a test client's requests."""
        app = create_app(Settings.from_env(self.env(database)), process="web")
        quiet()
        try:
            yield app
        finally:
            with app.app_context():
                db.session.remove()
                db.engine.dispose()


def quiet() -> None:
    """Log warnings only, in this process: a worker writes nothing about what goes well either."""
    logging.disable(logging.INFO)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))


@contextmanager
def stage() -> Iterator[Stage]:
    """Start the servers in a temporary folder, and stop and remove them."""
    with tempfile.TemporaryDirectory(prefix="ates-bench-") as name, kept_stage(Path(name)) as it:
        yield it


@contextmanager
def kept_stage(folder: Path, *, durable: bool = True) -> Iterator[Stage]:
    """Start the servers in a folder that stays; `durable=False` to fill it faster."""
    with Cluster(folder, durable=durable) as cluster, Server(folder) as valkey:
        yield Stage(folder, cluster, valkey)
