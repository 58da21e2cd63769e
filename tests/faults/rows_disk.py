"""Rows 5, 19 and 29: the disk loses its power, is full, and forgets a bit."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import psutil
import psycopg
from sqlalchemy.exc import DBAPIError

from app.accounting.consumer import CONSUMER
from app.guardian.checks import BY_NAME
from app.guardian.jobs import guard
from app.outbox import relay
from embedded import pgdata
from embedded.keys import key
from embedded.postgres import SUPERUSER
from tests.faults import disk
from tests.faults.journal import Journal
from tests.faults.rows_log import _play
from tests.faults.rows_processes import _asynchronous
from tests.faults.storm import Stage, recover, storm
from tests.faults.system import System
from tests.faults.verdict import Outcome

NO_SPACE = b"No space left on device"
FULL_S, STOPPED_S = 60.0, 30.0
PAGE, CHECKED = 8192, "no page of the database is damaged"
# What is read of each table whose file is damaged, and where the API shows it.
TABLES = {
    "tasks": ("mary", "/api/v1/tasks?limit=200"),
    "account_transfers": ("ann", "/api/v1/transfers?limit=200"),
}


def power_lost(stage: Stage, dice: Random, *, sabotaged: bool) -> Outcome:
    """What PostgreSQL had synced is there after a power cut, and nothing else was acknowledged."""
    system = stage.system
    system.become()
    if not sabotaged:
        return storm(stage, dice, _cut_power)
    with _asynchronous(system):
        outcome = storm(stage, dice, _cut_power)
    if not outcome.is_harmed:
        return outcome
    with _kept_disk(system), _unsynced(system):  # which may leave nothing that starts again
        return storm(Stage(system, stage.seconds, 1), dice, _cut_power)


def _cut_power(system: System, dice: Random) -> int:
    """The disk takes nothing any more, all of PostgreSQL ends, and the disk is mounted again."""
    time.sleep(dice.random())
    postmaster = system.postmaster()
    with _held(system):
        _disk(system).lose_power()
        system.end_postgres(postmaster)
        _disk(system).unmount()
        _disk(system).mount()
    return 1


def full(stage: Stage, dice: Random, *, sabotaged: bool) -> Outcome:
    """No space is left: whatever needs some is answered 503, until there is some again."""
    system = stage.system
    system.become(*(["full_disk_is_no_outage"] if sabotaged else []), programs=["gunicorn"])
    log = system.data_dir / "logs" / "postgres.log"

    def fill(system: System, dice: Random) -> int:
        began = log.stat().st_size
        _disk(system).fill()
        try:
            system.wait_for(lambda: NO_SPACE in _said(log, began), "space is missed", FULL_S)
            if dice.random() < 0.5:  # a log that cannot go on ends the whole server
                _switch_log(system)
            time.sleep(dice.random())
        finally:
            _disk(system).free()
        return 0

    def look(journal: Journal, outcome: Outcome) -> None:
        refused = [a for a in journal.attempts if "503" in a.answers or "500" in a.answers]
        outcome.check(refused, "nobody was told of it")

    return storm(stage, dice, fill, look=look)


def _switch_log(system: System) -> None:
    with contextlib.suppress(psycopg.Error):
        url = system.cluster.superuser_url(system.database)
        with psycopg.connect(url, autocommit=True, connect_timeout=1) as connection:
            connection.execute("SELECT pg_switch_wal()")


def rotten(stage: Stage, dice: Random, *, sabotaged: bool) -> Outcome:
    """A bit of a data file is another when the server starts again: that is never served."""
    system, table = stage.system, dice.choice(sorted(TABLES))
    outcome = Outcome(attempts=1)
    name = system.new_database()
    with system.app(name) as app, app.app_context():
        _play(system, dice)
        relay.drain(CONSUMER)
    with contextlib.ExitStack() as ending:
        if sabotaged:
            ending.enter_context(_without_checksums(system))
        before = _rows(system, name, table)
        with psycopg.connect(system.cluster.superuser_url(name), autocommit=True) as connection:
            connection.execute("CHECKPOINT")  # or the log would mend the page
            found = connection.execute("SELECT pg_relation_filepath(%s)", [table]).fetchone()
        assert found
        file = system.cluster.pgdata / found[0]
        with _held(system):
            system.end_postgres(system.postmaster())
            flip = _flip_in_text if sabotaged else _flip_anywhere
            flip(file, dice)
        system.wait_until_ready()
        _check_never_served(outcome, system, name, table, before)
        if not sabotaged:
            _check_seen(outcome, system, name)
    recover(system)
    with system.connect() as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    return outcome


def _rows(system: System, database: str, table: str) -> list[Any]:
    with psycopg.connect(system.cluster.superuser_url(database)) as connection:
        return connection.execute(f"SELECT * FROM {table} ORDER BY id").fetchall()


def _flip_anywhere(file: Path, dice: Random) -> None:
    """Another bit somewhere among the rows of a page."""
    data = bytearray(file.read_bytes())
    page = PAGE * dice.randrange(len(data) // PAGE)
    upper = int.from_bytes(data[page + 14 : page + 16], "little")  # where the page's rows begin
    data[page + dice.randrange(upper or 24, PAGE)] ^= 1 << dice.randrange(8)
    file.write_bytes(data)


def _flip_in_text(file: Path, dice: Random) -> None:
    """Another bit in what a row says, so that nothing but its meaning changes."""
    data = bytearray(file.read_bytes())
    places = [at for at in range(len(data)) if data.startswith(b"Fence ", at)]
    data[dice.choice(places)] ^= 1
    file.write_bytes(data)


def _check_never_served(
    outcome: Outcome, system: System, database: str, table: str, before: list[Any]
) -> None:
    try:
        served = _rows(system, database, table)
    except psycopg.errors.DataCorrupted:
        outcome.acknowledged = 1
    else:
        outcome.check(served == before, f"a changed {table} was served")
    login, path = TABLES[table]
    headers = {"Authorization": f"Bearer {system.token(login)}"}
    with system.app(database) as app, app.test_client() as client:
        answer = client.get(path, headers=headers)
        documented = answer.status_code == 503 and "Retry-After" in answer.headers
        outcome.check(documented, f"{path} answered {answer.status_code}")


def _check_seen(outcome: Outcome, system: System, database: str) -> None:
    """The guardian stops changes and says why; PostgreSQL's own tools find the page."""
    with system.app(database) as app, app.app_context(), contextlib.suppress(DBAPIError):
        guard()  # it may not be able to finish its round
    with psycopg.connect(system.cluster.superuser_url(database), autocommit=True) as connection:
        stop = connection.execute("SELECT status::text, reason FROM system_state").fetchone()
        connection.execute("CREATE EXTENSION amcheck")
    outcome.check(stop and stop[0] == "stopped", f"the system is {stop}")
    outcome.check(stop and BY_NAME[CHECKED].name in str(stop[1]), f"stopped because of {stop}")
    where = ["--host", str(system.cluster.socket_folder), "--username", SUPERUSER]
    password = key(system.data_dir, f"postgres-{SUPERUSER}")
    checked = _run_as_server(
        system, "pg_amcheck", *where, "--database", database, PGPASSWORD=password
    )
    outcome.check(checked.returncode, "pg_amcheck finds nothing")


@contextlib.contextmanager
def _without_checksums(system: System) -> Iterator[None]:
    """Sabotage of 29: pages have no checksums."""
    _switch_checksums(system, "--disable")
    try:
        yield
    finally:
        _switch_checksums(system, "--enable")


def _switch_checksums(system: System, word: str) -> None:
    with _held(system):
        postmaster = system.postmaster()
        os.kill(postmaster, signal.SIGINT)  # a fast shutdown: its files are complete
        system.wait_for(lambda: not psutil.pid_exists(postmaster), "PostgreSQL ends", STOPPED_S)
        done = _run_as_server(system, "pg_checksums", word, "--pgdata", str(system.cluster.pgdata))
        assert done.returncode == 0, done.stderr
    system.wait_until_ready()


def _run_as_server(
    system: System, tool: str, *words: str, **env: str
) -> subprocess.CompletedProcess[str]:
    user = pgdata.server_user(system.cluster.pgdata)
    return subprocess.run(
        [str(pgdata.program(tool)), *words],
        check=False,
        capture_output=True,
        text=True,
        cwd="/",
        env={"PATH": os.defpath, "LC_ALL": "C", **env},
        user=user.pw_uid if user else None,
        group=user.pw_gid if user else None,
        extra_groups=[] if user else None,
    )


@contextlib.contextmanager
def _held(system: System) -> Iterator[None]:
    """PostgreSQL is not started again meanwhile."""
    hold = system.data_dir / "hold-postgres"
    hold.touch()
    try:
        yield
    finally:
        hold.unlink()


@contextlib.contextmanager
def _kept_disk(system: System) -> Iterator[None]:
    """What is on the disk now is on it again afterwards."""
    with _away(system):
        _disk(system).keep()
    try:
        yield
    finally:
        with _away(system):
            _disk(system).put_back()


@contextlib.contextmanager
def _away(system: System) -> Iterator[None]:
    with _held(system):
        with contextlib.suppress(FileNotFoundError):  # it may not have started any more
            system.end_postgres(system.postmaster())
        _disk(system).unmount()
        yield
        _disk(system).mount()
    system.wait_until_ready()


@contextlib.contextmanager
def _unsynced(system: System) -> Iterator[None]:
    """Sabotage of 5: PostgreSQL does not wait until the disk has what it wrote."""
    with system.connect() as connection:
        connection.execute("ALTER SYSTEM SET fsync = off")
        connection.execute("SELECT pg_reload_conf()")
    yield


def _disk(system: System) -> disk.Disk:
    assert system.disk, "this row needs a disk of its own"
    return system.disk


def _said(log: Path, since: int) -> bytes:
    with log.open("rb") as file:
        file.seek(since)
        return file.read()
