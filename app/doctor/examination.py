"""The examination: each part of the deployed system asked once, in a few seconds."""

from __future__ import annotations

import json
import smtplib
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from redis.exceptions import RedisError
from rq import Queue
from rq.job import Job
from rq.serializers import JSONSerializer
from sqlalchemy.exc import SQLAlchemyError

from app.doctor import scenario
from app.guardian import commands as guardian
from app.guardian import parts, queries, replay
from app.kernel import redis_address, settings, system
from app.kernel.db import db, in_transaction
from app.kernel.errors import AtesError
from app.outbox.doorbell import DEFAULT_QUEUE, RELAY_QUEUE
from app.payments.delivery import connect, mail_folder
from app.web.health import newest_revision, readiness

WEB_TIMEOUT_S = 5
# A worker may be busy with a batch; one that gave no answer in that time gives none soon.
WORKER_TIMEOUT_S = 15.0
WORKER_SILENT_S = 2.0
LOOK_AGAIN_S = 0.05
UNAUTHORIZED = 401


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the doctor's screen; `is_well` None means: look at it, but it works."""

    part: str
    is_well: bool | None
    note: str


def examine(*, address: str) -> Iterator[Line]:
    """Everything of a running system, a line at a time."""
    yield _line("web", lambda: _web(address))
    yield _line("API", lambda: _api(address))
    yield from _database()
    yield from _parts()
    relays = _line("worker, relay queue", lambda: _echoed(RELAY_QUEUE))
    yield relays
    patience_s = WORKER_TIMEOUT_S if relays.is_well else WORKER_SILENT_S
    served = _line("worker, default queue", lambda: _echoed(DEFAULT_QUEUE, patience_s))
    yield served
    yield _line("mail", _mail)
    yield _line("scenarios here", lambda: str(scenario.play()))
    yield _line("scenarios in a worker", lambda: _played_by_worker(served))


def examine_copy() -> Iterator[Line]:
    """What can be said of a restored copy before a deploy: its data, and this program on it."""
    yield from _database()
    yield _line("scenarios here", lambda: str(scenario.play()))
    yield _line("every check of the guardian", _everything_in_order)
    yield _line("replay of the log", _replayed)


class _Unwell(Exception):
    """A part does not work; the message says why."""


def _line(part: str, ask: Callable[[], str]) -> Line:
    try:
        return Line(part, is_well=True, note=ask())
    except (_Unwell, scenario.NotAsPlanned) as error:
        return Line(part, is_well=False, note=str(error))
    except AtesError as error:
        return Line(part, is_well=False, note=error.message)
    except (OSError, RedisError, SQLAlchemyError) as error:
        cause = getattr(error, "orig", None) or error
        said = (str(cause).strip().splitlines() or [""])[0]
        return Line(part, is_well=False, note=f"{type(cause).__name__}: {said}"[:200])


def _web(address: str) -> str:
    began = time.perf_counter()
    status, body = _asked(f"{address}/readyz")
    if status != 200:  # noqa: PLR2004 - OK
        raise _Unwell(f"/readyz answered {status}: {body}")
    return f"{address} is ready, {(time.perf_counter() - began) * 1000:.0f} ms"


def _api(address: str) -> str:
    status, _ = _asked(f"{address}/api/v1/me/balance")
    if status != UNAUTHORIZED:
        raise _Unwell(f"a request without a token was answered {status}, not 401")
    return "refuses a request without a token"


def _asked(url: str) -> tuple[int, Any]:
    request = urllib.request.Request(url)  # noqa: S310 - the operator's own address
    try:
        with urllib.request.urlopen(request, timeout=WEB_TIMEOUT_S) as answer:  # noqa: S310
            return answer.status, json.loads(answer.read(10_000) or b"null")
    except urllib.error.HTTPError as error:
        return error.code, error.read(500).decode(errors="replace")


def _database() -> Iterator[Line]:
    yield _line("tables", _ready)
    yield _line("changes", _running)


def _ready() -> str:
    reasons = readiness(db.session)
    if reasons:
        raise _Unwell("; ".join(reasons))
    return f"as this program expects them: {newest_revision()}"


def _running() -> str:
    found = in_transaction(system.state)
    if found.is_stopped:
        raise _Unwell(f"stopped, incident {found.incident}: {found.reason}")
    return "not stopped"


def _parts() -> Iterator[Line]:
    wellness = {"good": True, "warn": None, "bad": False}
    try:
        session = db.session()
        rounds, ticks = queries.rounds(session), queries.ticks(session)
        for part in parts.all_parts(session, rounds=rounds, ticks=ticks):
            yield Line(part.name.lower(), wellness[part.state], part.note)
    except SQLAlchemyError as error:
        yield Line("parts", is_well=False, note=type(error).__name__)
    finally:
        db.session.remove()


def _echoed(queue: str, patience_s: float | None = None) -> str:
    word = uuid.uuid4().hex
    answer, seconds = _done_by_worker(
        queue, "app.doctor.jobs.echo", word, patience_s=patience_s or WORKER_TIMEOUT_S
    )
    if answer != word:
        raise _Unwell("another word came back")
    return f"a job was done after {seconds:.2f} s"


def _played_by_worker(served: Line) -> str:
    if not served.is_well:
        raise _Unwell("not asked: nobody serves the default queue")
    answer, seconds = _done_by_worker(
        DEFAULT_QUEUE, "app.doctor.jobs.play_here", patience_s=WORKER_TIMEOUT_S
    )
    return f"{answer}, after {seconds:.1f} s"


def _done_by_worker(
    queue: str, function: str, *arguments: str, patience_s: float
) -> tuple[Any, float]:
    """What a running worker answered, and after how many seconds."""
    began = time.monotonic()
    with redis_address.connect(
        settings.current().redis_url, socket_timeout=2, socket_connect_timeout=2
    ) as connection:
        jobs = Queue(queue, connection=connection, serializer=JSONSerializer)
        job = jobs.enqueue_call(
            function, args=arguments, result_ttl=60, failure_ttl=60, ttl=60, timeout=60
        )
        while time.monotonic() - began < patience_s:
            if job.is_finished:
                return job.return_value(), time.monotonic() - began
            if job.is_failed:
                raise _Unwell(_last_line(job))
            time.sleep(LOOK_AGAIN_S)
        job.delete()
    raise _Unwell(f"no worker did the job within {patience_s:.0f} s")


def _last_line(job: Job) -> str:
    result = job.latest_result()
    said = ((result.exc_string if result else "") or "it failed").strip().splitlines()
    return said[-1][:200]


def _mail() -> str:
    chosen = settings.current()
    if chosen.smtp_url is None:
        folder = mail_folder(chosen)
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".doctor-{uuid.uuid4().hex}"
        probe.touch()
        probe.unlink()
        return f"no SMTP_URL: written as files into {folder}"
    try:
        with connect(chosen.smtp_url, timeout_s=WEB_TIMEOUT_S) as server:
            code, _ = server.noop()
    except smtplib.SMTPException as error:
        raise _Unwell(f"{type(error).__name__}: {error}") from error
    return f"the server answers ({code})"


def _everything_in_order() -> str:
    found = guardian.check_everything()
    if found:
        raise _Unwell("; ".join(f"{each.check_name}: {each.error or each.rows}" for each in found))
    return "all in order"


def _replayed() -> str:
    compared = replay.rebuild(settings.current())
    differing = [f"{part.part}: {part.differ}" for part in compared if part.differ]
    if differing:
        raise _Unwell("differs in " + ", ".join(differing))
    rows = {part.part: part.rows for part in compared}
    return f"{rows['transfers']:,} transfers are what the log makes"
