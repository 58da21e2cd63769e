"""The relay: every event once, in the order of the log, whatever its writers and readers do."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from sqlalchemy.orm import Session

from app.events import Event, TaskAssigned, TaskCompleted, TaskCreated, UserRegistered
from app.kernel.db import sql
from app.kernel.settings import Settings
from app.outbox import relay
from app.outbox.relay import Consumer
from app.tasks import commands
from app.tasks.models import Draft
from tests.company import Company

ROOT = Path(__file__).parents[2]
WAIT_S = 10
WRITE = """
INSERT INTO outbox (type, schema_version, task_id, user_id, actor_id)
VALUES ('TaskCreated', 1, %s, 1, 1) RETURNING event_id, id
"""
# A relay that has posted a batch, says so, and does not come to its commit.
STOPS_WHEN_POSTED = """
import time
from dataclasses import replace
from app import create_app
from app.accounting.commands import ACCOUNTING
from app.outbox import relay
def post(session, events):
    ACCOUNTING.post(session, events)
    print("posted", flush=True)
    time.sleep(60)
with create_app(process="worker").app_context():
    relay.drain(replace(ACCOUNTING, post=post))
"""


class Heard:
    """A consumer of the test's own, which keeps what it was given."""

    def __init__(self) -> None:
        self.batches: list[list[Event]] = []
        types = (TaskCreated, TaskAssigned, TaskCompleted, UserRegistered)
        self.consumer = Consumer("test", types, self.post)

    def post(self, _session: Session, events: Sequence[Event]) -> None:
        self.batches.append(list(events))

    @property
    def ids(self) -> list[UUID]:
        return [event.event_id for batch in self.batches for event in batch]


@pytest.fixture
def writer(settings: Settings) -> Iterator[Callable[[], psycopg.Connection[Any]]]:
    """Connections of writers, whose transactions the test begins and ends."""
    opened: list[psycopg.Connection[Any]] = []

    def connect() -> psycopg.Connection[Any]:
        opened.append(psycopg.connect(settings.database_url))
        return opened[-1]

    yield connect
    for connection in opened:
        connection.close()


def write_with_xids(company: Company, xids: Sequence[int]) -> list[UUID]:
    """Events as transactions with these ids would have left them, all of them long ended."""
    statement = """
        INSERT INTO outbox (xid, type, schema_version, task_id, user_id, actor_id)
        SELECT x::text::xid8, 'TaskCreated', 1, 1, 1, 1
        FROM unnest(CAST(:xids AS bigint[])) WITH ORDINALITY AS u (x, n) ORDER BY n
        RETURNING event_id"""
    return [row.event_id for row in company.rows(statement, xids=list(xids))]


def test_transaction_ids_are_read_as_numbers(company: Company) -> None:
    xids = [8, 9, 10, 11, 99, 100, 101]
    written = write_with_xids(company, xids)
    heard = Heard()
    assert company.call(relay.drain, heard.consumer, batch=2).events == len(xids)
    assert heard.ids == written


def test_reading_them_as_text_would_lose_events(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = write_with_xids(company, [8, 9, 10, 11, 99, 100, 101])
    by_text = str(relay.READ_BATCH).replace(
        "ORDER BY outbox.xid, outbox.id", "ORDER BY outbox.xid::text, outbox.id"
    )
    monkeypatch.setattr(relay, "READ_BATCH", sql(by_text))
    heard = Heard()
    company.call(relay.drain, heard.consumer, batch=2)
    assert set(heard.ids) < set(written)


def test_an_event_that_commits_after_a_younger_one_is_delivered(
    company: Company, writer: Callable[[], psycopg.Connection[Any]]
) -> None:
    slow, fast = writer(), writer()
    [late] = slow.execute(WRITE, [1]).fetchall()
    [early] = fast.execute(WRITE, [2]).fetchall()
    fast.commit()
    heard = Heard()

    def by_id(last: int) -> list[Any]:
        """The reader that is not ours: whatever has an id above the last it saw."""
        return company.rows("SELECT event_id, id FROM outbox WHERE id > :last", last=last)

    sabotaged = by_id(0)
    drained = company.call(relay.drain, heard.consumer, patience_s=0.05)
    assert drained.in_flight
    assert heard.ids == []  # the younger one waits for the older transaction
    slow.commit()
    sabotaged += by_id(sabotaged[-1].id)
    company.call(relay.drain, heard.consumer)
    assert heard.ids == [late[0], early[0]]
    assert [row.event_id for row in sabotaged] == [early[0]]  # and lost the other


def test_many_writers_at_once_lose_nothing(
    company: Company, writer: Callable[[], psycopg.Connection[Any]]
) -> None:
    written: list[UUID] = []
    done = threading.Event()

    def write(connection: psycopg.Connection[Any], seed: int) -> list[UUID]:
        rng = random.Random(seed)
        mine = []
        for _ in range(40):
            for _ in range(rng.randint(1, 3)):
                mine.append(connection.execute(WRITE, [1]).fetchone()[0])  # type: ignore[index]
                time.sleep(rng.random() / 500)
            connection.commit()
        return mine

    heard = Heard()

    def read() -> None:
        while not done.is_set():
            company.call(relay.drain, heard.consumer, batch=5, patience_s=0)

    with ThreadPoolExecutor(8) as pool:
        readers = [pool.submit(read) for _ in range(2)]
        work = [pool.submit(write, writer(), seed) for seed in range(6)]
        for one in work:
            written += one.result(WAIT_S)
        done.set()
        for reader in readers:
            reader.result(WAIT_S)
    company.call(relay.drain, heard.consumer)
    assert len(heard.ids) == len(written)
    assert set(heard.ids) == set(written)
    [cursor] = company.rows("SELECT events FROM outbox_cursors WHERE consumer = 'test'")
    assert cursor.events == len(written)


def test_a_writer_that_goes_on_for_long_holds_back_the_cursor_not_the_writes(
    company: Company, make_user: Callable, writer: Callable[[], psycopg.Connection[Any]]
) -> None:
    manager = make_user("manager")
    make_user("developer")
    long = writer()
    long.execute("SELECT pg_current_xact_id()")
    company.call(commands.create_tasks, manager.actor, [Draft("a"), Draft("b")])
    assert company.post(patience_s=0.05) == relay.Drained(0, 0, in_flight=True)
    long.rollback()
    assert company.post() == relay.Drained(2, 0)
    assert not company.broken_rules()


def test_the_events_of_a_batch_and_their_effects_are_one_transaction(
    company: Company, make_user: Callable, settings: Settings
) -> None:
    manager = make_user("manager")
    make_user("developer")
    company.call(commands.create_tasks, manager.actor, [Draft(f"task {n}") for n in range(50)])
    env = {
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
        "SECRET_KEY": settings.secret_key,
        "ATES_DATA": str(settings.data_dir),
    }
    with subprocess.Popen(
        [sys.executable, "-c", STOPS_WHEN_POSTED],
        cwd=ROOT,
        env=env,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "posted\n"
        process.kill()
    assert company.value("SELECT count(*) FROM account_transfers") == 0
    assert company.value("SELECT count(*) FROM task_prices") == 0
    assert company.post() == relay.Drained(50, 0)
    assert not company.broken_rules()
