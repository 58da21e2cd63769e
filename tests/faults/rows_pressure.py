"""Rows 20, 21, 22 and 26: no connection left, deadlocks, double submits, a paused lock holder."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any

import psycopg
import requests
from sqlalchemy.exc import DBAPIError

from app.kernel import db as kernel_db
from app.kernel.db import db, in_transaction, sql
from tests.faults.storm import Stage, recover, storm
from tests.faults.system import System
from tests.faults.verdict import Outcome

ANSWER_S = 2.0
# The pool is waited for 2 s; the rest is for a busy machine.
SLACK_S = 1.0
SUBMITS = 50
# The limit on idle transactions is 2 s here; the rest is for a busy machine.
FREED_S = 8.0
LOCK_FIRST = "SELECT pg_advisory_xact_lock(%d)"
IN_TRANSACTION = """
SELECT pid FROM pg_stat_activity
WHERE application_name = 'ates-worker' AND state = 'idle in transaction'
  AND datname = current_database() AND backend_xid IS NOT NULL
"""


def pool_exhausted(stage: Stage, dice: Random, *, sabotaged: bool) -> Outcome:
    """Every connection is idle in a transaction: health answers, the rest says 503 in time."""
    outcome = Outcome()
    with stage.system.app() as app:
        if sabotaged:
            with app.app_context():
                db.engine.pool._timeout = 30
        with app.app_context(), contextlib.ExitStack() as held:
            for _ in range(16):
                connection = held.enter_context(db.engine.connect())
                connection.execute(sql("SELECT 1"))
            _ask_everything(stage.system, app, outcome, seconds=6.0 if sabotaged else 30.0)
        with app.test_client() as client:
            began = time.monotonic()
            outcome.check(client.get("/readyz").status_code == 200, "not ready when healed")
            outcome.recover_s.append(time.monotonic() - began)
    return outcome


def _ask_everything(system: System, app: Any, outcome: Outcome, *, seconds: float) -> None:
    headers = {"Authorization": f"Bearer {system.token('mary')}"}
    asked = {"/healthz": 200, "/readyz": 503, "/api/v1/tasks": 503, "/tasks": 503}
    answers: dict[str, Any] = {}

    def ask(path: str) -> None:
        began = time.monotonic()
        with app.test_client() as client:
            answers[path] = (client.get(path, headers=headers), time.monotonic() - began)

    threads = [threading.Thread(target=ask, args=(path,), daemon=True) for path in asked]
    for thread in threads:
        thread.start()
    give_up_at = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, give_up_at - time.monotonic()))
    for path, status in asked.items():
        outcome.attempts += 1
        if path not in answers:
            outcome.wrong.append(f"{path} did not answer")
            continue
        answer, took_s = answers[path]
        allowed = (status, 303) if path == "/tasks" else (status,)
        outcome.check(answer.status_code in allowed, f"{path} answered {answer.status_code}")
        outcome.check(took_s < ANSWER_S + SLACK_S, f"{path} took {took_s:.1f} s")
        if answer.status_code == 503 and path != "/readyz":
            outcome.check("Retry-After" in answer.headers, f"{path}: 503 without Retry-After")


def deadlocked(stage: Stage, dice: Random, *, sabotaged: bool) -> Outcome:
    """Two commands lock in opposed order; two others read and write what the other does."""
    outcome = Outcome()
    attempts = kernel_db.MAX_ATTEMPTS
    if sabotaged:
        kernel_db.MAX_ATTEMPTS = 1
    try:
        with stage.system.app() as app:
            _opposed(app, outcome, _lock_two)
            _opposed(app, outcome, _read_and_write)
    finally:
        kernel_db.MAX_ATTEMPTS = attempts
    return outcome


def _opposed(app: Any, outcome: Outcome, work: Any) -> None:
    runs: Counter[int] = Counter()
    meet = threading.Barrier(2)

    def command(first: int, second: int) -> str:
        def attempt(session: Any) -> str:
            runs[first] += 1
            work(session, first, second, meet)
            return "done"

        with app.app_context():
            return in_transaction(attempt)

    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(command, *pair) for pair in ((11, 12), (12, 11))]
        for future in futures:
            outcome.attempts += 1
            try:
                outcome.acknowledged += future.result(30) == "done"
            except DBAPIError as error:
                outcome.wrong.append(f"{type(error.orig).__name__} reached the caller")
    total = runs.total()
    outcome.check(total <= 2 * kernel_db.MAX_ATTEMPTS, f"{total} runs")
    outcome.check(total > 2 or outcome.wrong, "nothing had to be run again")


def _meet(meet: threading.Barrier) -> None:
    with contextlib.suppress(threading.BrokenBarrierError):
        meet.wait(1.0)  # only the first runs meet; whoever runs again is alone


def _lock_two(session: Any, first: int, second: int, meet: threading.Barrier) -> None:
    session.execute(sql(LOCK_FIRST % first))
    _meet(meet)
    session.execute(sql(LOCK_FIRST % second))


def _read_and_write(session: Any, first: int, second: int, meet: threading.Barrier) -> None:
    session.execute(sql("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"))
    session.execute(sql(f"SELECT count(*) FROM schedule_ticks WHERE name = 'rig {second}'"))
    _meet(meet)
    write = f"INSERT INTO schedule_ticks (name, tick) VALUES ('rig {first}', clock_timestamp())"
    session.execute(sql(write))


def submitted_twice(stage: Stage, dice: Random, *, sabotaged: bool) -> Outcome:
    """Fifty times the same request at once: one effect, its answer again, 409, and 422."""
    system = stage.system
    system.become(*(["keys_are_stored_later"] if sabotaged else []), programs=["gunicorn"])
    key, name = str(uuid.uuid4()), f"Once {uuid.uuid4()}"
    headers = {"Authorization": f"Bearer {system.token('mary')}", "Idempotency-Key": key}

    def submit(wanted: str) -> requests.Response:
        url = f"{system.address}/api/v1/tasks"
        return requests.post(url, json={"name": wanted}, headers=headers, timeout=30)

    with ThreadPoolExecutor(SUBMITS) as pool:
        answers = list(pool.map(submit, [name] * SUBMITS))
    answers.append(submit(name))
    other = submit(f"{name} and more")
    found = system.one("SELECT count(*) FROM tasks WHERE name LIKE %s", f"{name}%")
    taken = [answer.json() for answer in answers if answer.status_code == 201]
    statuses = Counter(answer.status_code for answer in answers)
    outcome = Outcome(attempts=SUBMITS + 2, acknowledged=len(taken), doubled=max(0, found - 1))
    outcome.lost = int(found == 0)
    outcome.check(found == 1, f"{found} tasks were created")
    outcome.check(set(statuses) <= {201, 409}, f"answers {dict(statuses)}")
    outcome.check(all(body == taken[0] for body in taken), "the answers differ")
    outcome.check(other.status_code == 422, f"{other.status_code} to another body")
    return outcome


def holder_paused(stage: Stage, dice: Random, *, sabotaged: bool) -> Outcome:
    """The worker stops inside a transaction: its locks are freed, and it cannot commit late."""
    system = stage.system
    sabotage = ["transactions_may_idle"] if sabotaged else ["short_timeouts"]
    system.become("waits_in_its_transaction", *sabotage, programs=["worker.py"])
    freed: list[str] = []

    def pause(system: System, dice: Random) -> int:
        worker, backend = _stop_inside(system)
        try:
            freed_s = FREED_S / 2 if sabotaged else FREED_S
            system.wait_for(lambda: not _is_there(system, backend), "its lock is freed", freed_s)
        except AssertionError as late:
            freed.append(str(late))
        finally:
            os.kill(worker, signal.SIGCONT)
        recover(system)
        return 0

    outcome = storm(Stage(system, 0.0, 1 if sabotaged else stage.rounds), dice, pause)
    outcome.wrong += freed
    return outcome


def _stop_inside(system: System) -> tuple[int, int]:
    """Stop the worker while a transaction of it is open; returns it, and PostgreSQL's process."""
    give_up_at = time.monotonic() + 30
    while time.monotonic() < give_up_at:
        pids = system.pids("worker.py")
        for worker in pids:
            os.kill(worker, signal.SIGSTOP)
        with system.connect() as connection, contextlib.suppress(psycopg.OperationalError):
            row = connection.execute(IN_TRANSACTION).fetchone()
            if row and pids:
                return pids[0], row[0]
        for worker in pids:
            os.kill(worker, signal.SIGCONT)
        time.sleep(0.05)
    raise AssertionError("the worker was never found in a transaction")


def _is_there(system: System, backend: int) -> bool:
    return bool(system.one("SELECT count(*) FROM pg_stat_activity WHERE pid = %s", backend))
