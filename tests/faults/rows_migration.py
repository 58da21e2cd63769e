"""Row 27: tables are changed under traffic, and the migration is killed half-way."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import psycopg

from app.web.health import MIGRATIONS, newest_revision
from tests.faults.journal import Journal
from tests.faults.rows_time import ROOT
from tests.faults.storm import Stage, storm
from tests.faults.system import System
from tests.faults.verdict import Outcome

# Longer than a request waits for a lock.
READER_S = 8.0
SLEEP_S = 20
MIGRATED_S = 120.0
# Two migrations of the rig's own: the first takes long while it holds the table.
FIRST = """
import os
from alembic import op
revision, down_revision = "rig_1", "{newest}"
def upgrade():
    op.execute("ALTER TABLE tasks ADD COLUMN rig_note text")
    op.execute("SELECT pg_sleep(" + os.environ["RIG_SLEEP_S"] + ")")
    op.execute("CREATE INDEX tasks_rig_note_idx ON tasks (rig_note)")
"""
SECOND = """
from alembic import op
revision, down_revision = "rig_2", "rig_1"
def upgrade():
    op.execute("ALTER TABLE account_transfers ADD COLUMN rig_note text")
"""
SLEEPS = """
SELECT count(*) FROM pg_stat_activity
WHERE application_name = 'ates-migration' AND wait_event = 'PgSleep'
"""
WAITS = """
SELECT count(*) FROM pg_stat_activity
WHERE application_name = 'ates-migration' AND wait_event_type = 'Lock'
"""
IS_THERE = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'ates-migration'"
REVISION = "SELECT version_num FROM alembic_version"
COLUMNS = "SELECT count(*) FROM information_schema.columns WHERE column_name = 'rig_note'"


def migrated(stage: Stage, dice: Random, *, sabotaged: bool) -> Outcome:
    """No request fails for a migration, one that is killed leaves nothing, and it goes on."""
    system = stage.system
    system.become(database=system.new_database())
    wrong: list[str] = []

    def migrate(system: System, dice: Random) -> int:
        with _migrations(patient=sabotaged) as folder:
            with _migrating(system, folder, sleep_s=SLEEP_S) as killed:
                with _reader(system):
                    system.wait_for(lambda: bool(system.one(WAITS)), "it waits", MIGRATED_S)
                    time.sleep(READER_S)
                _kill_half_way(system, killed)
            if (found := system.one(REVISION)) != newest_revision() or system.one(COLUMNS):
                wrong.append(f"a killed migration left {found}")
            with _migrating(system, folder, sleep_s=0) as again:
                said, _ = again.communicate(timeout=MIGRATED_S)
        if again.returncode or system.one(REVISION) != "rig_2" or system.one(COLUMNS) != 2:
            wrong.append(f"it did not go on: {said.decode()[-300:]}")
        return 1

    def look(journal: Journal, outcome: Outcome) -> None:
        failed = [attempt for attempt in journal.attempts if "503" in attempt.answers]
        outcome.check(not failed, f"{len(failed)} requests failed while a migration waited")

    outcome = storm(Stage(system, 0.0, 1), dice, migrate, look=look)
    outcome.wrong += wrong
    return outcome


@contextlib.contextmanager
def _migrations(*, patient: bool) -> Iterator[Path]:
    """The migrations and two more. Sabotage of 27: they wait for a lock as long as it takes."""
    with tempfile.TemporaryDirectory(prefix="ates-migrations-") as place:
        folder = Path(place, "migrations")
        shutil.copytree(MIGRATIONS, folder)
        (folder / "versions" / "rig_1.py").write_text(FIRST.format(newest=newest_revision()))
        (folder / "versions" / "rig_2.py").write_text(SECOND)
        if patient:
            env = folder / "env.py"
            text = env.read_text()
            limits = ("lock_timeout=2000", "client_connection_check_interval=1000")
            for limit in limits:
                assert limit in text
                text = text.replace(limit, f"{limit.partition('=')[0]}=0")
            env.write_text(text)
        yield folder


@contextlib.contextmanager
def _migrating(system: System, folder: Path, *, sleep_s: int) -> Iterator[subprocess.Popen[bytes]]:
    """`flask db upgrade` by the folder's migrations; it ends with the block."""
    database = system.database
    env = {
        **os.environ,
        **system.env,
        "DATABASE_URL": system.cluster.app_url(database),
        "MIGRATION_DATABASE_URL": system.cluster.owner_url(database),
        "PYTHONPATH": str(ROOT),
        "RIG_SLEEP_S": str(sleep_s),
    }
    words = ["-m", "flask", "--app", str(ROOT / "app"), "db", "upgrade", "-d", str(folder)]
    with subprocess.Popen(
        [sys.executable, "-P", *words],
        cwd=ROOT,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _kill_half_way(system: System, migration: subprocess.Popen[bytes]) -> None:
    """Kill it when it has changed the first table, and wait until the server lets go."""
    try:
        system.wait_for(lambda: bool(system.one(SLEEPS)), "it is half-way", MIGRATED_S)
    finally:
        migration.kill()
        migration.wait()
    system.wait_for(lambda: not system.one(IS_THERE), "its transaction is rolled back")


@contextlib.contextmanager
def _reader(system: System) -> Iterator[None]:
    """A report that reads the tasks for so long that no table can be changed meanwhile."""
    began, enough = threading.Event(), threading.Event()

    def read() -> None:
        with psycopg.connect(system.cluster.superuser_url(system.database)) as connection:
            connection.execute("SELECT count(*) FROM tasks")
            began.set()
            enough.wait(MIGRATED_S + READER_S)

    thread = threading.Thread(target=read)
    thread.start()
    began.wait()
    try:
        yield
    finally:
        enough.set()
        thread.join()
