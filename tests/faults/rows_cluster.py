"""Rows 4, 6, 7, 8 and 28: a primary with a synchronous standby, and a restore to a moment."""

from __future__ import annotations

import contextlib
import os
import signal
import statistics
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import psycopg
import requests

from embedded import backups
from embedded.cluster import Replicas
from embedded.node import Node
from embedded.postgres import OWNER_ROLE
from tests.faults.journal import Journal, State
from tests.faults.storm import Stage, recover, storm, writes
from tests.faults.system import System, kill_tree
from tests.faults.verdict import Outcome
from tests.flows.running import Running, started

# From the primary's death to the first write that is answered, as a rule.
FIRST_WRITE_S = 5.0
PROMOTED, FIRST_WRITE = "killed to promoted", "killed to the first write answered"
WAITING = """
SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND application_name = 'ates-web'
"""
ASYNCHRONOUS = "ALTER SYSTEM SET synchronous_commit = 'local'"


class Replicated(System):
    """A running aTES on two nodes; the database's rows are read where writes are taken."""

    def __init__(self, running: Running, replicas: Replicas) -> None:
        self.replicas = replicas
        super().__init__(running)

    def app_url(self, database: str) -> str:
        assert database == "ates"
        return self.replicas.url()

    def connect(self, **options: Any) -> psycopg.Connection[Any]:
        give_up_at = time.monotonic() + 60
        while True:
            try:
                url = self.replicas.url("postgres")
                return psycopg.connect(url, autocommit=True, connect_timeout=3, **options)
            except psycopg.OperationalError:
                if time.monotonic() > give_up_at:
                    raise
                time.sleep(0.05)


@contextlib.contextmanager
def replicated(data_dir: Path) -> Iterator[Replicated]:
    """Start a cluster and an aTES on it, and stop both afterwards."""
    replicas = Replicas(data_dir)
    replicas.start()
    try:
        urls = {
            "DATABASE_URL": replicas.url(),
            "MIGRATION_DATABASE_URL": replicas.url(OWNER_ROLE),
        }
        with started(data_dir, module="tests.faults.host", **urls) as running:
            yield Replicated(running, replicas)
    finally:
        replicas.stop()


def primary_killed(stage: Stage, dice: Random, *, sabotaged: bool) -> Outcome:
    """All processes of the primary die; the standby is promoted, the old primary rejoined."""
    system = _replicated(stage)
    system.become()
    promoted_s: list[float] = []
    first_write_s: list[float] = []

    def kill(system: System, dice: Random) -> int:
        replicas = _replicated(Stage(system)).replicas
        old = replicas.primary()
        if sabotaged:  # nobody waits for the standby, and it lags
            _stop(_standby(replicas), signal.SIGSTOP)
            time.sleep(1.0)
        kill_tree(_postmaster(old))
        began = time.monotonic()
        if sabotaged:
            _stop(_standby(replicas), signal.SIGCONT)
        replicas.failover()
        promoted_s.append(time.monotonic() - began)
        system.wait_for(lambda: writes(system), "a write is answered")
        first_write_s.append(time.monotonic() - began)
        recover(system)
        replicas.rejoin()
        return 1

    with _asynchronous(system) if sabotaged else contextlib.nullcontext():
        outcome = storm(Stage(system, stage.seconds, 1), dice, kill)
    outcome.figures = {PROMOTED: promoted_s, FIRST_WRITE: first_write_s}
    if not sabotaged:
        typical_s = statistics.median_high(first_write_s)
        outcome.check(typical_s <= FIRST_WRITE_S, f"a write was answered after {typical_s:.1f} s")
    return outcome


def standby_frozen(stage: Stage, dice: Random, *, sabotaged: bool) -> Outcome:
    """The standby is stopped: writes wait and are not acknowledged until it goes on."""
    system = _replicated(stage)
    system.become()
    frozen: list[tuple[float, float]] = []

    def freeze(system: System, dice: Random) -> int:
        standby = _standby(_replicated(Stage(system)).replicas)
        _stop(standby, signal.SIGSTOP)
        began = time.monotonic()
        time.sleep(2.0 + dice.random())
        frozen.append((began, time.monotonic()))
        _stop(standby, signal.SIGCONT)
        return 0

    def look(journal: Journal, outcome: Outcome) -> None:
        # What was on its way when it froze may be acknowledged for a moment more.
        during = [
            attempt
            for attempt in journal.attempts
            if attempt.state is State.OK
            and any(began + 0.5 < attempt.answered_at < end for began, end in frozen)
        ]
        outcome.check(not during, f"{len(during)} acknowledged while the standby was frozen")

    with _asynchronous(system) if sabotaged else contextlib.nullcontext():
        return storm(Stage(system, stage.seconds, 1), dice, freeze, look=look)


def wait_cancelled(stage: Stage, dice: Random, *, sabotaged: bool) -> Outcome:
    """The wait for the standby is cancelled: PostgreSQL says success with a warning; we do not."""
    system = _replicated(stage)
    standby = _standby(system.replicas)
    outcome = Outcome(attempts=1)
    answers: list[requests.Response] = []
    name = f"Doubted-{uuid.uuid4()}"
    if sabotaged:
        system.become("commits_are_believed", programs=["gunicorn"])
    else:
        system.become(programs=["gunicorn"])

    def post() -> None:
        key = {"Idempotency-Key": name, "Authorization": f"Bearer {system.token('mary')}"}
        url = f"{system.address}/api/v1/tasks"
        answers.append(requests.post(url, json={"name": name}, headers=key, timeout=30))

    _stop(standby, signal.SIGSTOP)
    asking = threading.Thread(target=post)
    try:
        time.sleep(0.5)
        asking.start()
        system.wait_for(lambda: _cancel_waits(system) > 0, "a commit waits", 15)
        asking.join(15)
        outcome.check(answers and answers[0].status_code == 503, f"answered {answers}")
        retried = threading.Thread(target=post)
        retried.start()
        retried.join(1.5)
        outcome.check(len(answers) == 1, "its answer was repeated before the standby had it")
    finally:
        _stop(standby, signal.SIGCONT)
    retried.join(30)
    outcome.check(answers[-1].status_code == 201, f"then answered {answers[-1]}")
    outcome.acknowledged = sum(answer.status_code == 201 for answer in answers)
    outcome.doubled = max(0, system.one("SELECT count(*) FROM tasks WHERE name = %s", name) - 1)
    outcome.recover_s.append(recover(system))
    return outcome


def split_brain(stage: Stage, dice: Random, *, sabotaged: bool) -> Outcome:
    """The old primary comes back by itself after the promotion: it takes no writes."""
    system = _replicated(stage)
    system.become()
    wrong: list[str] = []

    def split(system: System, dice: Random) -> int:
        replicas = _replicated(Stage(system)).replicas
        old = replicas.primary()
        kill_tree(_postmaster(old))
        replicas.failover()
        new = replicas.primary()
        if sabotaged:  # the fence is taken down: it starts as what it was
            old.configure(follows=None, synchronous=False)
        with suppress(Exception):
            old._start_server()  # as a machine would that starts again
            system.wait_for(old.is_up, "the old primary is up", 10)
        time.sleep(1.0)
        if old.takes_writes() and new.takes_writes():
            wrong.append("two nodes take writes")
        replicas.nodes.sort(key=lambda node: node is not new)
        _rejoin(replicas, old, new)
        return 1

    outcome = storm(Stage(system, stage.seconds, 1), dice, split)
    outcome.wrong += wrong
    return outcome


def restored(stage: Stage, dice: Random, *, sabotaged: bool) -> Outcome:
    """A base backup and the archive give the company as of a moment: exactly, and in order."""
    system = _replicated(stage)
    system.become()
    data_dir, primary = system.data_dir, system.replicas.primary()
    backups.back_up(primary, data_dir)
    marks: list[tuple[datetime, int, int]] = []

    def mark(system: System, dice: Random) -> int:
        time.sleep(0.5)
        with system.connect() as connection:
            row = connection.execute(
                "SELECT clock_timestamp(), (SELECT count(*) FROM logs),"
                " (SELECT count(*) FROM account_transfers)"
            ).fetchone()
        assert row
        marks.append((row[0], row[1], row[2]))
        return 0

    time.sleep(1.5)
    outcome = storm(Stage(system, 0.0, 2), dice, mark)
    moment, least, _ = marks[0]
    with system.connect() as connection:
        row = connection.execute("SELECT count(*) FROM logs").fetchone()
    most = row[0] if row else 0
    if sabotaged:  # a segment of the archive is lost
        backups.archive_now(primary)
        newest = max(primary.archive.glob("0*"))
        newest.rename(newest.with_suffix(".lost"))
    into = data_dir / f"restored-{uuid.uuid4().hex[:8]}"
    began = time.monotonic()
    node = backups.restore(
        data_dir, to=moment.astimezone(UTC).isoformat(), into=into, primary=primary
    )
    outcome.recover_s = [time.monotonic() - began]
    try:
        _check_restored(outcome, node, moment, least, most)
    finally:
        node.halt("immediate")
    return outcome


def _check_restored(outcome: Outcome, node: Node, moment: datetime, least: int, most: int) -> None:
    """All that was committed before `moment` is there, nothing after it, and the cursors fit."""
    with psycopg.connect(node.superuser_url("ates"), autocommit=True) as connection:
        row = connection.execute(
            "SELECT (SELECT count(*) FROM logs), (SELECT max(timestamp) FROM logs),"
            " (SELECT min(epoch) FROM outbox_cursors),"
            " (SELECT count(*) FROM account_transfers t LEFT JOIN outbox o USING (event_id)"
            "   WHERE o.event_id IS NULL)"
        ).fetchone()
    assert row
    count, newest, epoch, orphans = row
    outcome.check(least <= count < most, f"{count} log entries, not {least} to {most}")
    outcome.check(newest <= moment, f"an entry of {newest} is there, restored to {moment}")
    outcome.check(epoch >= 2, f"the cursors' epoch is {epoch}")
    outcome.check(orphans == 0, f"{orphans} transfers without their event")


def _replicated(stage: Stage) -> Replicated:
    assert isinstance(stage.system, Replicated), "this row needs a cluster"
    return stage.system


def _standby(replicas: Replicas) -> Node:
    return next(node for node in replicas.nodes if node.is_standby())


def _rejoin(replicas: Replicas, old: Node, new: Node) -> None:
    old.halt("immediate")
    old.rewind_to(new)
    replicas._attach(old, new)


def _postmaster(node: Node) -> int:
    return int((node.pgdata / "postmaster.pid").read_text().splitlines()[0])


def _stop(node: Node, number: signal.Signals) -> None:
    """SIGSTOP or SIGCONT for all processes of a node."""
    import psutil

    parent = psutil.Process(_postmaster(node))
    for process in [parent, *parent.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):
            os.kill(process.pid, number)


def _cancel_waits(system: Replicated) -> int:
    """Cancel the wait for the standby of each session of the web; returns how many."""
    with system.connect() as connection:
        found = connection.execute(WAITING).fetchall()
        for (pid,) in found:
            connection.execute("SELECT pg_cancel_backend(%s)", [pid])
    return len(found)


@contextlib.contextmanager
def _asynchronous(system: Replicated) -> Iterator[None]:
    """Commits are answered before the standby has them."""
    with system.connect() as connection:
        connection.execute(ASYNCHRONOUS)
        connection.execute("SELECT pg_reload_conf()")
    try:
        yield
    finally:
        with system.connect() as connection:
            connection.execute("ALTER SYSTEM RESET synchronous_commit")
            connection.execute("SELECT pg_reload_conf()")
