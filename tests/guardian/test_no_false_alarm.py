"""The guardian looks on while everybody works at once, and finds nothing that is not there."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import psycopg
from flask import Flask

from app.accounting import commands as accounting
from app.guardian.commands import check_everything, check_increment
from app.guardian.jobs import guard
from app.kernel import clock
from app.kernel.actor import Actor
from app.kernel.db import db, in_transaction, sql
from app.kernel.errors import Conflict, NotFound
from app.kernel.policy import Role
from app.outbox import relay
from app.tasks import commands as tasks
from app.tasks.models import Draft
from tests.company import Company
from tests.conftest import User

SECONDS = 6
SECONDS_MAX = 60  # for a machine that is busy with other things
OPEN = sql("SELECT id, assigned_to FROM tasks WHERE NOT is_finished ORDER BY random() LIMIT 5")


def test_work_under_way_is_no_finding(
    app: Flask, company: Company, make_user: Callable[..., User]
) -> None:
    manager = make_user(Role.MANAGER).actor
    accountant = make_user(Role.ACCOUNTANT).actor
    people = {user.id: user.actor for user in [make_user() for _ in range(5)]}
    people[accountant.user_id] = accountant
    enough = threading.Event()

    times: Counter[str] = Counter()

    def again_and_again(name: str, work: Callable[[], Any]) -> None:
        with app.app_context():
            while not enough.is_set():
                with contextlib.suppress(Conflict, NotFound):
                    work()
                times[name] += 1
            db.session.remove()

    works = {
        "create": lambda: tasks.create_tasks(manager, [Draft(f"Task {n}") for n in range(4)]),
        "complete": lambda: _complete_some(people),
        "complete too": lambda: _complete_some(people),
        "reassign": lambda: (time.sleep(0.2), tasks.reassign_tasks(manager)),
        "relay": lambda: relay.drain(accounting.ACCOUNTING, batch=50, patience_s=0.1),
        "close": lambda: _end_day(accountant),
        "guard": guard,
        "check": check_everything,
    }
    with ThreadPoolExecutor(len(works)) as pool:
        hands = [pool.submit(again_and_again, name, work) for name, work in works.items()]
        began = time.monotonic()
        while time.monotonic() - began < SECONDS or times["guard"] <= 5 or times["check"] <= 3:
            time.sleep(0.1)
            if time.monotonic() - began > SECONDS_MAX or any(hand.done() for hand in hands):
                break
        enough.set()
        for hand in hands:
            hand.result()
    findings = company.rows("SELECT check_name, evidence FROM guardian_findings WHERE is_money")
    assert findings == []
    errors = company.rows("SELECT check_name, error FROM guardian_results WHERE error IS NOT NULL")
    assert errors == []
    assert company.value("SELECT status FROM system_state") == "running"
    assert times["guard"] > 5
    assert times["check"] > 3
    assert company.value("SELECT count(*) FROM business_days WHERE status = 'closed'") > 0
    assert company.value("SELECT count(*) FROM account_transfers") > 100


def test_control_what_was_broken_meanwhile_is_found(
    app: Flask,
    company: Company,
    make_user: Callable[..., User],
    superuser: psycopg.Connection[Any],
    call: Callable[..., Any],
) -> None:
    make_user()
    manager = make_user(Role.MANAGER).actor
    call(check_increment)
    superuser.execute("SET session_replication_role = replica")
    for number in range(3):
        call(tasks.create_task, manager, name=f"Task {number}")
        company.post()
        if number == 1:
            superuser.execute("DELETE FROM account_transfers")
        call(check_increment)
    names = {row.check_name for row in company.rows("SELECT check_name FROM guardian_findings")}
    assert "each assignment has exactly one fee" in names


def _complete_some(people: dict[int, Actor]) -> None:
    rows = in_transaction(lambda session: session.execute(OPEN).all())
    for row in rows:
        with contextlib.suppress(Conflict, NotFound):
            tasks.complete_task(people[row.assigned_to], row.id)
    time.sleep(random.random() / 20)


def _end_day(accountant: Actor) -> None:
    time.sleep(1)
    in_transaction(_tomorrow)
    accounting.pay_to_workers(accountant, patience_s=2)


def _tomorrow(session: Any) -> None:
    day = clock.today(session, "UTC") + timedelta(days=1)
    clock.move_to(session, clock.start_of(session, day, "UTC"))
