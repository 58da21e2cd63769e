"""From a task's commit to its posting, one event at a time on an idle system.

The way is the real one: the command rings the bell in Valkey, RQ wakes `worker.py`, which reads
the log, posts and commits. A trigger that only this benchmark's database has tells a listening
connection of each posting's commit; the clock starts when the command's COMMIT has returned.
"""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median, quantiles

from redis import Redis
from sqlalchemy.orm import Session

from app.accounting.commands import ACCOUNTING
from app.kernel.actor import Actor
from app.kernel.db import after_commit, in_transaction
from app.kernel.policy import Role
from app.outbox import relay
from app.tasks.commands import create_task
from bench.company import employ
from bench.report import Line
from bench.stage import Connection, Stage
from embedded.process import Process
from embedded.programs import python
from embedded.settings import ROOT

EMPLOYEES = 20
SAMPLES = 300
WARM_UP = 20
PAUSE_S = (0.01, 0.04)
TIMEOUT_S = 10.0
P50_MS_MAX = 15
P99_MS_MAX = 60

TELL = """
CREATE FUNCTION tell_posted() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN NOTIFY posted; RETURN NULL; END $$;
CREATE TRIGGER tell_posted AFTER INSERT ON account_transfers
  FOR EACH STATEMENT EXECUTE FUNCTION tell_posted();
"""
MANAGER = "SELECT id, login FROM users WHERE login = 'person-0'"


def measure(stage: Stage) -> list[Line]:
    """Percentiles of the way, beside a bare message's and the bare posting's."""
    database = stage.copy()
    with stage.superuser(database) as connection:
        employ(connection, EMPLOYEES)
        connection.execute(TELL)
        manager = connection.execute(MANAGER).fetchone()
        assert manager is not None
    actor = Actor(manager[0], manager[1], Role.MANAGER)
    with (
        stage.app(database),
        stage.superuser(database) as listening,
        stage.superuser(database) as telling,
        Redis.from_url(stage.valkey.url) as valkey,
    ):
        directly = _samples_ms(lambda: _post_here(actor))
        listening.execute("LISTEN posted")
        with _worker(stage, database):
            through_worker = _samples_ms(lambda: _post_by_worker(actor, listening))
        notice = _samples_ms(lambda: _notify(telling, listening))
        ping = _samples_ms(lambda: _ping(valkey))
    stage.drop(database)
    return _lines(through_worker, directly=directly, notice=notice, ping=ping)


def _lines(
    through_worker: list[float], *, directly: list[float], notice: list[float], ping: list[float]
) -> list[Line]:
    bare = median(notice)
    p99 = quantiles(through_worker, n=100)[98]
    return [
        _line("commit to posted, p50", median(through_worker), bare, at_most_ms=P50_MS_MAX),
        _line("commit to posted, p99", p99, bare, at_most_ms=P99_MS_MAX),
        _line("the posting alone, no message, p50", median(directly), bare),
        Line(what="bare NOTIFY to a listener, p50", figure=f"{bare:.2f} ms"),
        Line(what="Valkey round trip, p50", figure=f"{median(ping):.2f} ms"),
    ]


def _line(what: str, value_ms: float, bare_ms: float, *, at_most_ms: int | None = None) -> Line:
    return Line(
        what=what,
        figure=f"{value_ms:.1f} ms",
        ratio=value_ms / bare_ms,
        against="bare NOTIFY",
        target=f"<= {at_most_ms} ms" if at_most_ms else "",
        met=at_most_ms is None or value_ms <= at_most_ms,
    )


def _samples_ms(once: Callable[[], float]) -> list[float]:
    """What `once` measures, in milliseconds, with pauses in which the system falls idle."""
    samples = []
    for number in range(WARM_UP + SAMPLES):
        time.sleep(random.uniform(*PAUSE_S))
        took_s = once()
        if number >= WARM_UP:
            samples.append(took_s * 1000)
    return samples


def _create(actor: Actor) -> float:
    """Create a task, which is one event; returns when its COMMIT had returned."""
    committed_at: list[float] = []
    numbers = itertools.count()

    def work(session: Session) -> None:
        # Before the bell, which the command hangs on the same hook.
        after_commit(session, lambda: committed_at.append(time.perf_counter()))
        create_task(actor, name=f"Mend the fence {next(numbers)}")

    in_transaction(work)
    return committed_at[0]


def _post_by_worker(actor: Actor, listening: Connection) -> float:
    committed_at = _create(actor)
    _wait_for_notice(listening)
    return time.perf_counter() - committed_at


def _post_here(actor: Actor) -> float:
    """The same posting by a relay in this process that happens to look at once."""
    committed_at = _create(actor)
    assert relay.deliver_batch(ACCOUNTING) == (1, 0)
    return time.perf_counter() - committed_at


def _notify(telling: Connection, listening: Connection) -> float:
    began = time.perf_counter()
    telling.execute("NOTIFY posted")
    _wait_for_notice(listening)
    return time.perf_counter() - began


def _ping(valkey: Redis) -> float:
    began = time.perf_counter()
    valkey.ping()
    return time.perf_counter() - began


def _wait_for_notice(listening: Connection) -> None:
    assert list(listening.notifies(timeout=TIMEOUT_S, stop_after=1)), "nothing was posted"


@contextmanager
def _worker(stage: Stage, database: str) -> Iterator[None]:
    log = stage.logs / "worker.log"
    worker = Process(
        "worker", python(str(ROOT / "worker.py")), log=log, env=stage.env(database), cwd=ROOT
    )
    worker.start()
    try:
        yield
    finally:
        worker.stop()
