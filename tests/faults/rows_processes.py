"""Rows 1, 2 and 3: processes killed, at any moment, after a commit, and PostgreSQL's own."""

from __future__ import annotations

import os
import signal
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from random import Random

import psutil
import psycopg

from tests.faults.storm import REDONE, Stage, recover, storm
from tests.faults.system import System, kill_tree
from tests.faults.verdict import Outcome

DROP_UNIQUE = "ALTER TABLE account_transfers DROP CONSTRAINT account_transfers_event_id_key"
BACKENDS = """
SELECT pid FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
ORDER BY state = 'idle' LIMIT 8
"""
WAL_WRITER_STOPS = ("synchronous_commit = off", "wal_writer_delay = '10s'")
# From a worker's kill until its work is done again; longer beside other tests on a small machine.
REDONE_S, REDONE_BUSY_S = 5.0, 30.0
WAVES = 4


def worker_killed(stage: Stage, dice: Random, *, sabotaged: bool) -> Outcome:
    """The worker's process group dies at a random moment, also in the middle of a batch."""
    system = stage.system
    if sabotaged:
        system.become("cursor_moves_first", database=system.new_database())
    else:
        system.become()
    outcome = storm(stage, dice, _kill_worker)
    if not sabotaged:
        typical_s = statistics.median_high(outcome.figures[REDONE])
        limit_s = REDONE_BUSY_S if stage.is_short else REDONE_S
        outcome.check(typical_s <= limit_s, f"done again after {typical_s:.1f} s")
    return outcome


def killed_after_commit(stage: Stage, dice: Random, *, sabotaged: bool) -> Outcome:
    """Web processes and the worker die between their commit and the answer or acknowledgement."""
    system = stage.system
    database = system.new_database()
    broken = ["ledger_does_not_look", "cursor_moves_later", "keys_are_stored_later"]
    system.become("dies_after_commit", *(broken if sabotaged else []), database=database)
    if sabotaged:
        with system.connect() as connection:
            connection.execute(DROP_UNIQUE)
    before = _started(system)
    outcome = storm(stage, dice, _nothing, pause_s=2.0)
    outcome.kills += len(_started(system) - before)
    outcome.check(outcome.kills, "no process died")
    return outcome


def backend_killed(stage: Stage, dice: Random, *, sabotaged: bool) -> Outcome:
    """A process of PostgreSQL dies: all its sessions end, and it recovers from its log."""
    stage.system.become()
    with _asynchronous(stage.system) if sabotaged else nullcontext():
        return storm(stage, dice, _kill_backend)


def everything_killed(stage: Stage, dice: Random, *, sabotaged: bool) -> Outcome:
    """Worker, web processes, PostgreSQL's processes and all of PostgreSQL, at random."""
    stage.system.become()
    with _asynchronous(stage.system) if sabotaged else nullcontext():
        return storm(stage, dice, _kill_anything, pause_s=0.3)


def _kill_anything(system: System, dice: Random) -> int:
    """Waves of kills, the next before the last is healed."""
    killed = 0
    for _ in range(WAVES):
        for strike in dice.sample(
            [_kill_worker_alone, _kill_web, _kill_web, _kill_postgres, _kill_backend], k=5
        ):
            killed += strike(system, dice)
            time.sleep(dice.random() * 0.3)
    return killed


def _kill_worker(system: System, dice: Random) -> int:
    """Kill the worker, and see its work done again by the next."""
    time.sleep(dice.random() * 0.3)
    killed = _kill_worker_alone(system, dice)
    system.wait_for(lambda: bool(system.pids("worker.py")), "the worker runs again")
    return killed


def _kill_worker_alone(system: System, _dice: Random) -> int:
    pids = system.pids("worker.py")
    if pids:
        system.worker_killed_at = time.monotonic()
    for pid in pids:
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
    return len(pids)


def _kill_web(system: System, dice: Random) -> int:
    pids = system.web_children()
    if not pids:
        return 0
    with suppress(ProcessLookupError):
        os.kill(dice.choice(pids), signal.SIGKILL)
    return 1


def _kill_postgres(system: System, dice: Random) -> int:
    if dice.random() < 0.3:
        with suppress(FileNotFoundError, IndexError, ValueError):
            kill_tree(system.postmaster())
            return 1
    return _kill_backend(system, dice)


def _kill_backend(system: System, dice: Random) -> int:
    """Kill a process that works for a session; none while PostgreSQL is away."""
    with suppress(psycopg.OperationalError, ProcessLookupError, IndexError):
        url = system.cluster.superuser_url(system.database)
        with psycopg.connect(url, autocommit=True, connect_timeout=1) as connection:
            found = [row[0] for row in connection.execute(BACKENDS)]
        os.kill(dice.choice(found), signal.SIGKILL)
        return 1
    return 0


def _nothing(_system: System, _dice: Random) -> int:
    return 0


def _started(system: System) -> set[tuple[int, float]]:
    pids = [*system.web_children(), *system.pids("worker.py")]
    found = set()
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            found.add((pid, psutil.Process(pid).create_time()))
    return found


@contextmanager
def _asynchronous(system: System) -> Iterator[None]:
    """PostgreSQL answers a commit before it has written it."""
    with system.connect() as connection:
        for setting in WAL_WRITER_STOPS:
            connection.execute(f"ALTER SYSTEM SET {setting}")
        connection.execute("SELECT pg_reload_conf()")
    try:
        yield
    finally:
        with system.connect() as connection:
            connection.execute("ALTER SYSTEM RESET ALL")
            connection.execute("SELECT pg_reload_conf()")
        recover(system)
