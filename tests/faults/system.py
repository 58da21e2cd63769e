"""The system under fault: real processes, which the rig kills, stops, changes and asks."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import psycopg
import redis
import requests
from flask import Flask

from app import create_app
from app.kernel.db import db
from app.kernel.settings import Settings
from embedded.postgres import Cluster
from tests.faults.disk import Disk, beneath
from tests.faults.host import EMPTY
from tests.flows.running import Running, started

PROGRAMS = ("gunicorn", "worker.py", "scheduler.py")
HEAL_S = 60.0
# On a machine that does other things a program takes long to start.
START_S = 180.0
LOOK_S_MIN, LOOK_S_MAX = 0.03, 0.2
# Which of several schedulers works; a killed one's lives for a while.
SCHEDULER_LOCK = "rq:scheduler_lock"


class NotStarted(AssertionError):
    """The system that a fault is played on does not work before it: nothing was played."""


@contextlib.contextmanager
def starting() -> Iterator[None]:
    """What is waited for in vain here is a start. Raises NotStarted."""
    try:
        yield
    except AssertionError as error:
        raise NotStarted(*error.args) from error


class System:
    """A running aTES; `database` is the one that its programs work on."""

    def __init__(self, running: Running, disk: Disk | None = None) -> None:
        self.running = running
        self.disk = disk  # what PostgreSQL's data lies on, if it is one of its own
        self.address = running.address
        self.data_dir = running.data_dir
        self.cluster = Cluster(running.data_dir)  # to know its addresses; bin/run runs it
        self.database = "ates"
        self._databases = 0
        self._changed: set[str] = set()  # the programs that are not as they ship
        self.worker_killed_at: float | None = None  # whose work is not known to be done again
        self.people: dict[str, tuple[int, str]] = {
            login: (found[0], found[1])
            for login, found in json.loads((self.data_dir / "tokens.json").read_text()).items()
        }
        self.env = running.env
        self._variant = self._varied((), {}, self.database)

    def token(self, login: str) -> str:
        return self.people[login][1]

    def connect(self, **options: Any) -> psycopg.Connection[Any]:
        """A superuser's connection in autocommit, waited for while the server restarts."""
        give_up_at = time.monotonic() + HEAL_S
        while True:
            try:
                url = self.cluster.superuser_url(self.database)
                return psycopg.connect(url, autocommit=True, connect_timeout=5, **options)
            except psycopg.OperationalError:
                if time.monotonic() > give_up_at:
                    raise
                time.sleep(0.05)

    def app_url(self, database: str) -> str:
        """The address of a database for the programs."""
        return self.cluster.app_url(database)

    def one(self, statement: str, *values: object) -> Any:
        """The first column of the first row, for a superuser."""
        with self.connect() as connection:
            row = connection.execute(statement, values).fetchone()
            return row[0] if row else None

    def redis(self) -> redis.Redis:
        return redis.Redis.from_url(self.env["REDIS_URL"], socket_timeout=2, retry=None)

    def has_redis(self) -> bool:
        """Whether Redis answers."""
        try:
            return bool(self.redis().ping())
        except redis.RedisError:
            return False

    def pids(self, program: str) -> list[int]:
        return self.running.pids(program)

    def valkeys(self) -> list[int]:
        """The one process of Valkey, by either of its names."""
        found = [*self.pids("valkey-server"), *self.pids("redis-server")]
        assert found, "no Valkey runs"
        return found

    def web_children(self) -> list[int]:
        """The processes that answer requests."""
        pids = self.pids("gunicorn")
        return [pid for pid in pids if _parent(pid) in pids]

    def postmaster(self) -> int:
        return int((self.cluster.pgdata / "postmaster.pid").read_text().splitlines()[0])

    def end_postgres(self, postmaster: int) -> None:
        """SIGKILL a PostgreSQL with all its processes, and wait until its files are closed."""
        ended = [process.pid for process in kill_tree(postmaster)]
        self.wait_for(lambda: not any(map(_runs, ended)), "PostgreSQL's processes have ended")

    def kill(self, program: str) -> int:
        """SIGKILL all processes of a program; returns how many there were."""
        return self.running.kill(program)

    def become(
        self,
        *changes: str,
        env: dict[str, str] | None = None,
        database: str = "ates",
        programs: Sequence[str] = PROGRAMS,
    ) -> None:
        """Have the programs changed (tests/faults/variants.py), on `database`.

        Those in `programs` are started again, and those that were changed last; on another
        database all are.
        """
        variant = self._varied(changes, env or {}, database)
        if variant == self._variant:
            return
        (self.data_dir / "variant.json").write_text(json.dumps(variant))
        changed = set(programs) if changes or env else set()
        others = self._changed if database == self.database else set(PROGRAMS)
        for program in changed | others:
            self.kill(program)
        self.database, self._variant, self._changed = database, variant, changed
        self.wait_until_ready()

    def _varied(self, changes: Sequence[str], env: dict[str, str], database: str) -> dict[str, Any]:
        """What tests/faults/wrapped.py is told; without it, a program is so on `ates`."""
        urls = {"DATABASE_URL": self.app_url(database), "REDIS_URL": self.env["REDIS_URL"]}
        return {"changes": changes, "env": {**urls, **env}}

    def wait_until_ready(self) -> None:
        """Wait until requests are answered and all programs run."""
        with starting():
            self.wait_for(self._is_ready, "the system is ready", START_S)

    def wait_for(self, seen: Callable[[], bool], what: str, timeout_s: float = HEAL_S) -> float:
        """Wait until `seen()`; returns the seconds. Raises AssertionError naming `what`.

        It looks less often as time goes by, so that what is waited for has the machine.
        """
        began, pause_s = time.monotonic(), LOOK_S_MIN
        while not seen():
            assert time.monotonic() < began + timeout_s, f"not within {timeout_s:.0f} s: {what}"
            time.sleep(pause_s)
            pause_s = min(LOOK_S_MAX, 1.5 * pause_s)
        return time.monotonic() - began

    def new_database(self) -> str:
        """A copy of the empty company, and its name."""
        self._databases += 1
        name = f"ates_{os.getpid()}_{self._databases}"
        self.cluster.create_database(name, EMPTY)
        return name

    @contextlib.contextmanager
    def app(self, database: str | None = None, **changed: Any) -> Iterator[Flask]:
        """An application in this process, on a database of its own, with settings `changed`."""
        name = database or self.new_database()
        env = {**self.env, "DATABASE_URL": self.cluster.app_url(name)}
        env["MIGRATION_DATABASE_URL"] = self.cluster.owner_url(name)
        app = create_app(replace(Settings.from_env(env), **changed), process="worker")
        try:
            yield app
        finally:
            with app.app_context():
                db.session.remove()
                db.engine.dispose()

    def hold(self, server: str) -> None:
        """Kill `postgres`, `valkey` or `worker` and keep it down."""
        (self.data_dir / f"hold-{server}").touch()
        if server == "postgres":
            kill_tree(self.postmaster())
        elif server == "worker":
            self.kill("worker.py")
        else:
            for pid in self.valkeys():
                os.kill(pid, signal.SIGKILL)

    def release(self, server: str) -> None:
        (self.data_dir / f"hold-{server}").unlink(missing_ok=True)

    def _is_ready(self) -> bool:
        try:
            answer = requests.get(f"{self.address}/readyz", timeout=5)
        except requests.RequestException:
            return False
        return answer.ok and all(self.pids(program) for program in PROGRAMS)


@contextlib.contextmanager
def system(data_dir: Path) -> Iterator[System]:
    """Start a whole system for the rig, and stop it afterwards.

    PostgreSQL's data lie on a disk of their own where the machine can mount one.
    """
    with beneath(data_dir) as disk, started(data_dir, module="tests.faults.host") as running:
        yield System(running, disk)


def kill_tree(pid: int) -> list[psutil.Process]:
    """SIGKILL a PostgreSQL and all its processes; returns them.

    A number that is another's by now is let be.
    """
    with contextlib.suppress(psutil.NoSuchProcess):
        parent = psutil.Process(pid)
        if parent.name() != "postgres":
            return []
        processes = [parent, *parent.children(recursive=True)]
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        return processes
    return []


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _parent(pid: int) -> int | None:
    try:
        return psutil.Process(pid).ppid()
    except psutil.NoSuchProcess:
        return None
