"""The RQ worker: relays the event log, sends mail, runs what the schedule asks for."""

from __future__ import annotations

import gc
import sys
import time
from typing import Any

import structlog
from flask import Flask
from rq import Queue, SimpleWorker
from rq.serializers import JSONSerializer
from rq.worker import DequeueStrategy
from sqlalchemy.exc import OperationalError

from app import create_app
from app.accounting.queries.zone import refuse_moved_day
from app.kernel import redis_address, settings
from app.kernel.db import db
from app.kernel.errors import Conflict
from app.outbox.doorbell import DEFAULT_QUEUE, RELAY_QUEUE
from app.outbox.jobs import relay

log = structlog.get_logger(__name__)

# Less than what a start of the process would take.
DATABASE_PAUSE_S = 0.5
# A batch makes tens of thousands of objects, none of them in a cycle: looking for one after every
# 700 took a tenth of the relay's time.
GC_THRESHOLD = 10_000


class Worker(SimpleWorker):
    """Runs jobs in this process: the relay answers a bell in milliseconds, without a fork.

    A job that dies with its process is done again from PostgreSQL, which knows what is done; so
    nothing is kept in Redis about it.
    """

    # RQ doubles its wait for a lost Redis up to a minute; the relay shall be back in seconds.
    max_connection_wait_time = 2.0
    app: Flask

    def perform_job(self, *args: Any, **kwargs: Any) -> bool:
        """Run one job in an application context, and so in a database session, of its own."""
        with self.app.app_context():
            return super().perform_job(*args, **kwargs)

    def serve(self, **options: Any) -> None:
        """Serve the queues in turn until a signal ends the process.

        Under traffic there is always a relay to do: what waits in the other queue has its turn.
        """
        turns = DequeueStrategy.ROUND_ROBIN
        self.work(logging_level="WARNING", dequeue_strategy=turns, **options)


def made(app: Flask) -> Worker:
    """A worker of all queues."""
    connection = redis_address.connect(settings.current().redis_url)
    queues = [
        Queue(name, connection=connection, serializer=JSONSerializer)
        for name in (RELAY_QUEUE, DEFAULT_QUEUE)
    ]
    worker = Worker(queues, connection=connection, serializer=JSONSerializer)
    worker.app = app
    return worker


def begin(app: Flask) -> None:
    """Relay what waits in the log; a database that is away is waited for.

    Ends the process when the time zone would move a closed day.
    """
    while True:
        with app.app_context():
            try:
                refuse_moved_day(db.session(), settings.current().business_timezone)
                relay()
            except Conflict as refusal:
                sys.exit(refusal.message)
            except OperationalError as error:
                log.warning("database_is_away", error=str(error.orig)[:300])
            else:
                return
        time.sleep(DATABASE_PAUSE_S)


def main() -> None:
    """Begin with what waits in the log, then serve the queues."""
    gc.set_threshold(GC_THRESHOLD)
    app = create_app(process="worker")
    begin(app)
    made(app).serve()


if __name__ == "__main__":
    main()
