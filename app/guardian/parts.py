"""The parts of the system and how each is, for the Health page and the doctor."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from flask_babel import gettext
from redis.exceptions import RedisError
from rq import Worker
from rq.worker import BaseWorker
from sqlalchemy.orm import Session

from app.guardian import queries
from app.kernel.system import HEARTBEAT_S
from app.outbox import status
from app.outbox.doorbell import doorbell

SCHEDULE_S = 150
BACKLOG_S = 10
TRANSACTION_S = 60


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the system: `state` is good, warn or bad, as the badges call it."""

    name: str
    state: str
    note: str


def all_parts(session: Session, *, rounds: Mapping[str, Any], ticks: Sequence[Any]) -> list[Part]:
    """Every part, asked now; `rounds` and `ticks` are those of the queries."""
    redis, workers = _redis(), _workers()
    return [_database(session), redis, workers, _schedule(ticks), _guardian(rounds),
            _flow(session)]  # fmt: skip


def _database(session: Session) -> Part:
    began = time.perf_counter()
    found = queries.database(session)
    took = _ms_since(began)
    standbys = gettext("standbys: %(n)s", n=found.standbys)
    old = (found.oldest_transaction_s or 0) > TRANSACTION_S
    size = gettext("%(megabytes)s MB", megabytes=found.megabytes)
    note = f"PostgreSQL {found.version.split()[0]} · {size} · {took} · {standbys}"
    if old:
        age = round(found.oldest_transaction_s)
        note += " · " + gettext("oldest transaction %(s)s s", s=age)
    return Part(gettext("Database"), "warn" if old else "good", note)


def _redis() -> Part:
    began = time.perf_counter()
    try:
        doorbell().redis.ping()
    except RedisError as error:
        note = gettext("away: events are found by looking, only later")
        return Part("Redis", "warn", f"{note} ({type(error).__name__})")
    return Part("Redis", "good", _ms_since(began))


def _ms_since(began: float) -> str:
    return str(gettext("%(ms)s ms", ms=round((time.perf_counter() - began) * 1000)))


def _workers() -> Part:
    name = gettext("Workers")
    try:
        workers = Worker.all(connection=doorbell().redis)
    except RedisError:
        return Part(name, "warn", gettext("not known while Redis is away"))
    heard = {worker: _heard_s(worker) for worker in workers}
    alive = [worker for worker in workers if heard[worker] < worker.worker_ttl + 60]
    if not alive:
        return Part(name, "bad", gettext("%(n)s running, %(busy)s busy", n=0, busy=0))
    busy = sum(worker.get_state() == "busy" for worker in alive)
    note = gettext("%(n)s running, %(busy)s busy", n=len(alive), busy=busy)
    silent_s = min(heard[worker] for worker in alive)
    if silent_s < HEARTBEAT_S:  # the sweep alone has one of them work every other second
        return Part(name, "good", note)
    note += " · " + gettext("none was heard of for %(s)s s", s=round(silent_s))
    return Part(name, "warn", note)


def _heard_s(worker: BaseWorker) -> float:
    """For how many seconds nothing was heard of a worker; it may be busy, or dead."""
    last = worker.last_heartbeat
    if last is None:
        return float("inf")
    return (datetime.now(UTC) - last.replace(tzinfo=last.tzinfo or UTC)).total_seconds()


def _schedule(ticks: Sequence[Any]) -> Part:
    ages = [row.age_s for row in ticks]
    name = gettext("Schedule")
    if not ages:
        return Part(name, "bad", gettext("nothing has run yet"))
    note = gettext("last job %(s)s s ago", s=round(min(ages)))
    return Part(name, "good" if min(ages) < SCHEDULE_S else "bad", note)


def _guardian(rounds: Mapping[str, Any]) -> Part:
    last = rounds["increment"]
    name = gettext("Guardian")
    if last.age_s is None:
        return Part(name, "bad", gettext("no round yet"))
    note = gettext("round %(ago)s s ago, took %(ms)s ms", ago=round(last.age_s), ms=last.ms)
    return Part(name, "good" if last.age_s < HEARTBEAT_S else "bad", note)


def _flow(session: Session) -> Part:
    rows = status.consumers(session)
    waiting = sum(row.waiting for row in rows)
    parked = sum(row.parked for row in rows)
    age = max((float(row.oldest_age_s or 0) for row in rows), default=0.0)
    note = gettext("%(n)s events wait, %(parked)s dead letters", n=waiting, parked=parked)
    late = age > BACKLOG_S
    if late:
        note += " · " + gettext("the oldest for %(s)s s", s=round(age))
    return Part(gettext("Event flow"), "bad" if parked else "warn" if late else "good", note)
