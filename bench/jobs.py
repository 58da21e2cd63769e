"""A queue's worker, in a process of its own; see peers.

Each job is one event, given to the posting function as a batch of one, in its own transaction. The
process says that it is ready, waits for a line, works until the queue is empty, and ends.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

import procrastinate
import psycopg
from flask import Flask
from pgqueuer import PgQueuer
from pgqueuer.db import PsycopgDriver
from pgqueuer.models import Job
from pgqueuer.types import QueueExecutionMode
from redis import Redis
from rq import Queue, SimpleWorker
from rq.serializers import JSONSerializer

from app import create_app
from app.accounting.commands import post
from app.events import StoredEvent, read
from app.kernel.db import db, in_transaction
from bench.stage import quiet

NAME = "post_event"
# What suits the others best here: RQ has no threads; more of them, or larger fetches, gain nothing.
THREADS = 4
FETCH = 50

_app: Flask | None = None


def post_event(**event: Any) -> None:
    """Post one event, whose columns came as JSON, in a transaction of its own."""
    assert _app is not None
    event["event_id"] = UUID(event["event_id"])
    event["occurred_at"] = datetime.fromisoformat(event["occurred_at"])
    with _app.app_context():
        in_transaction(lambda session: post(session, [read(StoredEvent(**event))]))


def rq_queue(redis_url: str) -> Queue:
    """RQ's queue of posting jobs."""
    connection = Redis.from_url(redis_url)
    return Queue(NAME, connection=connection, serializer=JSONSerializer)


def procrastinate_app(url: str) -> procrastinate.App:
    """The app of procrastinate, with the posting task."""
    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=url, max_size=4))
    app.task(name=NAME)(post_event)
    return app


def work_rq(redis_url: str) -> None:
    """RQ without a fork for each job, which is its fastest worker."""
    queue = rq_queue(redis_url)
    worker = SimpleWorker([queue], connection=queue.connection, serializer=JSONSerializer)
    worker.work(burst=True, logging_level="WARNING")


def work_procrastinate(url: str) -> None:
    """Runs procrastinate with the jobs that are done deleted."""
    procrastinate_app(url).run_worker(
        wait=False, concurrency=THREADS, listen_notify=False, delete_jobs="always"
    )


def work_pgqueuer(url: str) -> None:
    """PgQueuer, with the posting in threads."""
    asyncio.run(_work_pgqueuer(url))


async def _work_pgqueuer(url: str) -> None:
    connection = await psycopg.AsyncConnection.connect(url, autocommit=True)
    async with connection:
        queue = PgQueuer(PsycopgDriver(connection))

        async def entry(job: Job) -> None:
            assert job.payload is not None
            await asyncio.to_thread(post_event, **json.loads(job.payload))

        queue.entrypoint(NAME)(entry)
        await queue.run(batch_size=FETCH, mode=QueueExecutionMode.drain)


WORK: dict[str, Callable[[str], None]] = {
    "rq": work_rq,
    "procrastinate": work_procrastinate,
    "pgqueuer": work_pgqueuer,
}


def main(queue: str) -> None:
    """Get ready, wait to be told, work, and end. Servers are named by the environment, as ever."""
    global _app  # noqa: PLW0603 - RQ finds a job's function by name, with nothing bound to it
    _app = create_app(process="worker")
    quiet()
    with _app.app_context():
        db.session.execute(db.text("SELECT 1"))
    print("ready", flush=True)
    sys.stdin.readline()
    WORK[queue](os.environ["REDIS_URL" if queue == "rq" else "MIGRATION_DATABASE_URL"])
