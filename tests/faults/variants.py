"""Changes that wrapped.py makes to a program before it starts: failpoints, and sabotage.

A failpoint makes a fault that cannot be made from outside. Sabotage breaks the rule that a row of
the table is about; the row's control must then fail.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

CHANGES: dict[str, Callable[[], None]] = {}


def change(function: Callable[[], None]) -> Callable[[], None]:
    """Make a change known by its function's name."""
    CHANGES[function.__name__] = function
    return function


@change
def dies_after_commit() -> None:
    """Failpoint: one commit in twenty is the process's last act; nobody hears of it."""
    from app.kernel import db

    commit = db._commit

    def commit_and_die(session: Any, result: Any) -> Any:
        wrote = bool(session.connection().exec_driver_sql(WROTE).scalar())
        done = commit(session, result)
        if wrote and random.random() < 0.05:
            os.kill(os.getpid(), signal.SIGKILL)
        return done

    db._commit = commit_and_die


WROTE = "SELECT pg_current_xact_id_if_assigned() IS NOT NULL"


@change
def waits_in_its_transaction() -> None:
    """Failpoint: a batch takes long enough for a kill or a stop to hit it."""
    from app.accounting.consumer import CONSUMER
    from app.outbox import relay

    post = relay._post

    def post_slowly(session: Any, consumer: Any, stored: Any) -> int:
        done = post(session, consumer, stored)
        if consumer is CONSUMER and stored:
            time.sleep(0.3)
        return done

    relay._post = post_slowly


@change
def counts_its_ticks() -> None:
    """Watches: writes each run of a scheduled job to `ticks.log` in the data folder."""
    from app import schedules

    log = Path(os.environ["ATES_DATA"]) / "ticks.log"

    def watched(job: Any) -> Any:
        def work() -> object:
            with log.open("a") as file:
                file.write(f"{job.name} {time.time():.3f}\n")
            return job.work()

        return schedules.Scheduled(job.name, job.every_s, work, job.queue)

    schedules.SCHEDULE = tuple(
        watched(job) if job.name != "sweep" else job for job in schedules.SCHEDULE
    )


@change
def looks_often() -> None:
    """Watches over the guardian's heartbeat in less time than a test can wait."""
    from app.guardian import heartbeat

    heartbeat.LOOK_EVERY_S = 0.2


@change
def cursor_moves_first() -> None:
    """Sabotage of 1: the cursor's move is committed before the effects of what it passed."""
    from app.kernel.db import in_transaction
    from app.outbox import relay

    def deliver_batch(consumer: Any, limit: int = relay.BATCH) -> tuple[int, int]:
        def take(session: Any) -> list[Any]:
            cursor = relay._locked_cursor(session, consumer.name)
            stored = relay._read(session, cursor, limit)
            if stored:
                _move(session, consumer, stored)
            return stored

        stored = in_transaction(take)
        if stored:
            time.sleep(0.2)
            heard = [event for event in stored if event.type in consumer.types]
            in_transaction(lambda session: relay._post(session, consumer, heard))
        return len(stored), 0

    relay.deliver_batch = deliver_batch


@change
def cursor_moves_later() -> None:
    """Sabotage of 2: the cursor moves in a transaction of its own, after the effects."""
    from app.kernel.db import in_transaction
    from app.outbox import relay

    def deliver_batch(consumer: Any, limit: int = relay.BATCH) -> tuple[int, int]:
        def take(session: Any) -> list[Any]:
            cursor = relay._locked_cursor(session, consumer.name)
            stored = relay._read(session, cursor, limit)
            heard = [event for event in stored if event.type in consumer.types]
            relay._post(session, consumer, heard)
            return stored

        stored = in_transaction(take)
        if stored:
            in_transaction(lambda session: _move(session, consumer, stored))
        return len(stored), 0

    relay.deliver_batch = deliver_batch


def _move(session: Any, consumer: Any, stored: list[Any]) -> None:
    from app.outbox import relay

    place = {"xid": str(stored[-1].xid), "id": stored[-1].id}
    done = {"consumer": consumer.name, "events": len(stored), "ms": 0}
    session.execute(relay.MOVE_CURSOR, {**place, **done})


@change
def ledger_does_not_look() -> None:
    """Sabotage of 2 and 23: the ledger does not look whether it knows an event.

    The rig drops the unique key on `event_id` besides.
    """
    from app.accounting.commands import posting
    from app.kernel.db import sql

    known = "(SELECT t.id FROM account_transfers t WHERE t.event_id = e.event_id) IS NULL"
    text = str(posting.POST)
    assert known in text
    posting.POST = sql(text.replace(known, "true"))


@change
def keys_are_stored_later() -> None:
    """Sabotage of 2 and 22: an idempotency key is stored after the effect, and not claimed."""
    from flask import make_response

    from app.kernel.db import in_transaction
    from app.web import idempotency

    def run(view: Any, *, again: Any, kept: Any) -> Any:
        key = idempotency._key()
        if key is None:
            return view(b"")
        sent = idempotency._Sent(
            scope=idempotency._scope(), key=key, content=idempotency._content()
        )
        stored = in_transaction(lambda session: idempotency._stored(session, sent))
        if stored is not None:
            return stored
        response = make_response(view(b""))
        if response.status_code < 400:
            body = kept(response, b"")
            in_transaction(lambda session: idempotency._store(session, sent, response, body))
        return response

    idempotency._run = run


@change
def schedule_is_registered_once() -> None:
    """Sabotage of 10: the schedule is put into Redis at the start only."""
    from app import schedules

    schedules.REGISTER_EVERY_S = 10**9


@change
def bell_must_ring() -> None:
    """Sabotage of 11: a Redis that is away is the request's failure."""
    from app.outbox import doorbell

    def ring(self: Any) -> bool:
        self._queue.enqueue_call(doorbell.RELAY_JOB, result_ttl=0)
        return True

    doorbell.Doorbell.ask = ring


@change
def redis_is_waited_for() -> None:
    """Sabotage of 12: a request rings by itself, and nothing bounds its wait for Redis."""
    from app.outbox import doorbell

    doorbell.TIMEOUT_S = 60
    doorbell.PAUSE_S = 0
    doorbell.Doorbell.ask = doorbell.Doorbell.ring


@change
def first_master_is_kept() -> None:
    """Sabotage of 13: each process asks the Sentinels once, at its start, who the master is."""
    from redis import Redis

    from app.kernel import redis_address

    connect, kept = redis_address.connect, []

    def connect_to_the_first(url: str, **options: Any) -> Redis:
        if not kept:
            first = connect(url)
            kept.append(
                (
                    *first.connection_pool.get_master_address(),
                    first.connection_pool.connection_kwargs,
                )
            )
        host, port, known = kept[0]
        return Redis(host, port, password=known["password"], **options)

    redis_address.connect = connect_to_the_first


@change
def full_disk_is_no_outage() -> None:
    """Sabotage of 19: whoever needs space on a full disk is told of an internal error."""
    from psycopg import errors as pg

    from app.web import problems

    is_outage = problems.is_outage
    problems.is_outage = lambda error: (
        is_outage(error) and not isinstance(getattr(error, "orig", None), pg.DiskFull)
    )


@change
def heartbeat_is_not_looked_for() -> None:
    """Sabotage of 30: nobody looks whether the guardian makes its rounds."""
    from app.guardian import heartbeat
    from app.web import pages

    heartbeat.Watch.look = lambda _self: False
    pages.warnings = lambda _session: []


@change
def ticks_are_not_claimed() -> None:
    """Sabotage of 16: every tick that is delivered runs."""
    from app import schedules

    schedules._claim = lambda *_: True


@change
def time_is_the_process_s() -> None:
    """Sabotage of 17: what happened is dated by the clock of the process that did it."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    @event.listens_for(Engine, "before_cursor_execute", retval=True)
    def date(
        connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: object
    ) -> tuple[str, Any]:
        now = f"CAST('{datetime.now(UTC).isoformat()}' AS timestamptz)"
        return statement.replace("business_now()", now), parameters


@change
def transactions_may_idle() -> None:
    """Sabotage of 26: nothing ends a transaction whose process is stopped."""
    _limit_idle_transactions("0")


@change
def short_timeouts() -> None:
    """The limit on idle transactions, in less time than a test can wait."""
    _limit_idle_transactions("2000")


def _limit_idle_transactions(limit_ms: str) -> None:
    from app.web import config

    engine_options = config.engine_options
    limit = "idle_in_transaction_session_timeout="

    def limited(process: str) -> dict[str, Any]:
        options = engine_options(process)
        words = options["connect_args"]["options"]
        assert f"{limit}15000" in words
        options["connect_args"]["options"] = words.replace(f"{limit}15000", limit + limit_ms)
        return options

    config.engine_options = limited


@change
def network_is_waited_for() -> None:
    """Sabotage of 9: nothing but TCP itself notices that the database's host is away."""
    from app.kernel import db

    db.NETWORK = {}


@change
def commits_are_believed() -> None:
    """Sabotage of 7: a commit that was answered with a warning counts as a success."""
    from app.kernel import db

    db._was_doubted = lambda: False
