"""The worker under traffic that never ends: the relay is not all that it does."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg
import pytest
from flask import Flask
from rq import Queue
from rq.serializers import JSONSerializer
from sqlalchemy import Engine, event
from sqlalchemy.orm import Session

import worker
from app.events import Event, TaskCreated
from app.outbox import relay
from app.outbox.doorbell import DEFAULT_QUEUE, RELAY_JOB, RELAY_QUEUE
from app.outbox.relay import Consumer
from embedded.valkey import Server
from tests.company import Company

WRITE = """
INSERT INTO outbox (type, schema_version, task_id, user_id, actor_id)
VALUES ('TaskCreated', 1, 1, 1, 1) RETURNING event_id
"""


@pytest.fixture
def redis_url(valkey: Server) -> str:
    """A database of its own: other workers may serve the queues of the first."""
    return f"{valkey.url}?db=1"


def test_other_jobs_have_their_turn_among_relays(app: Flask, valkey: Server) -> None:
    working = worker.made(app)
    working.connection.flushdb()
    waiting = {
        name: Queue(name, connection=working.connection, serializer=JSONSerializer)
        for name in (RELAY_QUEUE, DEFAULT_QUEUE)
    }
    for _ in range(6):
        waiting[RELAY_QUEUE].enqueue_call(RELAY_JOB, result_ttl=0)
        waiting[DEFAULT_QUEUE].enqueue_call("app.doctor.jobs.echo", ["hm"], result_ttl=0)
    working.serve(burst=True, max_jobs=6)
    left = {name: queue.count for name, queue in waiting.items()}
    working.connection.flushdb()
    working.connection.close()
    assert left == {RELAY_QUEUE: 3, DEFAULT_QUEUE: 3}


def test_a_relay_ends_though_new_events_come_all_the_time(company: Company) -> None:
    """Each event that is delivered brings another: whoever waits for the last waits for ever."""
    heard: list[Event] = []

    def post(_session: Session, events: Sequence[Event]) -> None:
        heard.extend(events)
        company.rows(WRITE)

    consumer = Consumer("test", (TaskCreated,), post)
    written = [company.value(WRITE) for _ in range(3)]
    done = company.call(relay.drain, consumer, patience_s=60, max_batches=50)
    assert not done.in_flight
    assert {event.event_id for event in heard} >= set(written)
    assert len(heard) < 10


def test_a_database_that_is_away_at_the_start_is_waited_for(
    app: Flask, company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is there at the second look; who ended instead would have to be started again."""
    monkeypatch.setattr(worker, "DATABASE_PAUSE_S", 0)
    company.value(WRITE)
    refused: list[str] = []

    @event.listens_for(Engine, "do_connect")
    def connect(*_: object) -> None:
        if not refused:
            refused.append("once")
            raise psycopg.OperationalError("the database system is starting up")

    try:
        worker.begin(app)
    finally:
        event.remove(Engine, "do_connect", connect)
    assert refused
    events = "SELECT events FROM outbox_cursors WHERE consumer = 'accounting'"
    assert company.value(events) == 1
