"""The relay beside queues that do one job per event: RQ, procrastinate, PgQueuer.

Each of their jobs calls the posting function of the relay for its one event, in a transaction of
its own. They get two worker processes each, one for each core of the machine where this was
written; the relay is one process. Putting the jobs into the queues is not measured.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections.abc import Callable
from typing import Any

import psycopg
from pgqueuer.db import PsycopgDriver
from pgqueuer.queries import Queries
from psycopg.rows import dict_row
from rq import Queue

from bench import jobs
from bench.relay import TASKS, count, drained_per_s, prepare
from bench.report import Line, at_least
from bench.stage import Stage
from embedded.programs import python
from embedded.settings import ROOT

EMPLOYEES = 20
ROUNDS = 2
EVENTS = 2_000
WORKERS = 2
TIMEOUT_S = 600

# The first events of the log, as the relay would read them.
EVENTS_AS_JSON = """
SELECT xid::text::bigint AS xid, id, event_id::text AS event_id, type, schema_version, task_id,
       user_id, actor_id, to_char(occurred_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
       AS occurred_at, payload
FROM outbox ORDER BY outbox.xid, outbox.id LIMIT %s
"""
Event = dict[str, Any]


def measure(stage: Stage) -> list[Line]:
    """Events a second of the relay and of each queue, on the same events."""
    template = prepare(stage, tasks=TASKS, employees=EMPLOYEES)
    relayed = max(_relayed_per_s(stage, template) for _ in range(ROUNDS))
    lines = [Line(what="relay, one process", figure=f"{relayed:,.0f}/s")]
    for queue, (name, enqueue) in QUEUES.items():
        rate = max(_queued_per_s(stage, template, queue, enqueue) for _ in range(ROUNDS))
        lines.append(
            at_least(
                10.0,
                f"relay against {name}, {WORKERS} processes",
                f"{rate:,.0f}/s",
                ratio=relayed / rate,
                against=name,
            )
        )
    stage.drop(template)
    return lines


def _relayed_per_s(stage: Stage, template: str) -> float:
    database = stage.copy(template)
    rate = drained_per_s(stage, database)
    stage.drop(database)
    return rate


def _queued_per_s(
    stage: Stage, template: str, queue: str, enqueue: Callable[[str, list[Event]], None]
) -> float:
    database = stage.copy(template)
    url = stage.valkey.url if queue == "rq" else stage.cluster.owner_url(database)
    with psycopg.connect(stage.cluster.superuser_url(database), row_factory=dict_row) as connection:
        enqueue(url, connection.execute(EVENTS_AS_JSON, [EVENTS]).fetchall())
    took_s = _work(stage, database, queue)
    with stage.superuser(database) as looking:
        assert count(looking, "account_transfers") == EVENTS
    stage.drop(database)
    return EVENTS / took_s


def _work(stage: Stage, database: str, queue: str) -> float:
    """How long worker processes that are ready take until the queue is empty."""
    workers = [
        subprocess.Popen(
            python("-c", f"from bench.jobs import main; main({queue!r})"),
            env=stage.env(database),
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(WORKERS)
    ]
    try:
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "ready\n"
        stage.checkpoint()
        began = time.perf_counter()
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.write("go\n")
            worker.stdin.flush()
        codes = [worker.wait(TIMEOUT_S) for worker in workers]
        took_s = time.perf_counter() - began
    finally:
        for worker in workers:
            worker.kill()
    assert codes == [0] * WORKERS, codes
    return took_s


def _enqueue_rq(url: str, events: list[Event]) -> None:
    prepared = [
        Queue.prepare_data("bench.jobs.post_event", kwargs=event, result_ttl=0) for event in events
    ]
    jobs.rq_queue(url).enqueue_many(prepared)


def _enqueue_procrastinate(url: str, events: list[Event]) -> None:
    with jobs.procrastinate_app(url).open() as app:
        app.schema_manager.apply_schema()
        app.configure_task(jobs.NAME).batch_defer(*events)


def _enqueue_pgqueuer(url: str, events: list[Event]) -> None:
    asyncio.run(_fill_pgqueuer(url, [json.dumps(event).encode() for event in events]))


async def _fill_pgqueuer(url: str, payloads: list[bytes]) -> None:
    connection = await psycopg.AsyncConnection.connect(url, autocommit=True)
    async with connection:
        queries = Queries(PsycopgDriver(connection))
        await queries.install()
        number = len(payloads)
        await queries.enqueue([jobs.NAME] * number, list(payloads), [0] * number)


QUEUES: dict[str, tuple[str, Callable[[str, list[Event]], None]]] = {
    "rq": ("RQ", _enqueue_rq),
    "procrastinate": ("procrastinate", _enqueue_procrastinate),
    "pgqueuer": ("PgQueuer", _enqueue_pgqueuer),
}
