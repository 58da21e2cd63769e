"""Consumers beside the first one: whatever is wrong with them, the first is served."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy.orm import Session

from app.accounting.commands import ACCOUNTING
from app.events import Event, TaskCreated
from app.kernel.db import sql
from app.outbox import jobs
from app.outbox.relay import Consumer
from app.subscriptions import CONSUMERS
from app.tasks import commands
from app.tasks.models import Draft
from tests.company import Company

POSTED = "SELECT count(*) FROM account_transfers"


class Beside:
    """A consumer of the test's own, which does to each batch what it is told to."""

    def __init__(self, does: Callable[[Session, Sequence[Event]], Any]) -> None:
        self.does = does
        self.tried = 0
        self.heard: list[Event] = []
        self.consumer = Consumer("beside", (TaskCreated,), self.post, batch=5, limit_ms=200)

    def post(self, session: Session, events: Sequence[Event]) -> None:
        self.tried += 1
        self.does(session, events)
        self.heard += events


@pytest.fixture
def serve() -> Iterator[Callable[[Beside], None]]:
    """Makes this process relay to Accounting and to another one beside it."""
    yield lambda beside: jobs.serve((ACCOUNTING, beside.consumer))
    jobs.serve(CONSUMERS)


@pytest.fixture
def create(company: Company, make_user: Callable) -> Callable[[int], None]:
    manager = make_user("manager")
    make_user("developer")

    def create(count: int) -> None:
        drafts = [Draft(f"task {n}") for n in range(count)]
        company.call(commands.create_tasks, manager.actor, drafts)

    return create


def sleep(session: Session, _events: Sequence[Event]) -> None:
    session.execute(sql("SELECT pg_sleep(60)"))


def crash(_session: Session, _events: Sequence[Event]) -> None:
    raise RuntimeError("a bug")


def refuse(_session: Session, _events: Sequence[Event]) -> None:
    raise ValueError("cannot take it")


def test_both_get_everything(company: Company, serve: Any, create: Any) -> None:
    beside = Beside(lambda _session, _events: None)
    serve(beside)
    create(23)
    assert company.call(jobs.relay) == 46
    assert company.value(POSTED) == len(beside.heard) == 23


@pytest.mark.parametrize("fault", [sleep, crash])
def test_one_that_hangs_or_crashes_is_cut_off_and_left_alone(
    company: Company, serve: Any, create: Any, fault: Any
) -> None:
    beside = Beside(fault)
    serve(beside)
    create(7)
    began = time.monotonic()
    assert company.call(jobs.relay) == 7
    assert time.monotonic() - began < 5, "its statement was ended"
    create(1)
    assert company.call(jobs.relay) == 1
    assert company.value(POSTED) == 8
    assert beside.tried == 1, "for a second it is not tried again"
    assert company.value("SELECT count(*) FROM dead_letters") == 0, "no event is at fault"
    jobs._paces["beside"].until = float("-inf")
    beside.does = lambda _session, _events: None
    assert company.call(jobs.relay) == 8, "and then it gets all of it"
    assert len(beside.heard) == 8
    assert not company.broken_rules()


def test_it_is_left_alone_longer_each_time(company: Company, serve: Any, create: Any) -> None:
    beside = Beside(crash)
    serve(beside)
    create(1)
    waits = []
    for _ in range(9):
        company.call(jobs.relay)
        pause = jobs._paces["beside"]
        waits.append(round(pause.until - time.monotonic()))
        pause.until = float("-inf")
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_its_dead_letters_are_its_own(company: Company, serve: Any, create: Any) -> None:
    serve(Beside(refuse))
    create(12)
    company.call(jobs.relay)
    letters = company.rows("SELECT DISTINCT consumer FROM dead_letters")
    assert [letter.consumer for letter in letters] == ["beside"]
    assert company.value("SELECT count(*) FROM dead_letters") == 12
    assert company.value(POSTED) == 12


def test_one_that_refuses_all_is_given_one_event_a_transaction(
    company: Company, serve: Any, create: Any
) -> None:
    """So that the log is never held back for long; Accounting posts in between."""
    create(12)
    sizes: list[int] = []

    def refuse_and_tell(session: Session, events: Sequence[Event]) -> None:
        xid = session.execute(sql("SELECT pg_current_xact_id()::text")).scalar_one()
        sizes.append(len(events))
        transactions.setdefault(xid, []).append(len(events))
        raise ValueError("cannot take it")

    transactions: dict[str, list[int]] = {}
    serve(Beside(refuse_and_tell))
    company.call(jobs.relay)
    assert all(len(tried) == 1 for tried in transactions.values()), "no halving within one"
    assert sizes.count(1) == 12


def test_only_the_events_at_fault_are_parked(company: Company, serve: Any, create: Any) -> None:
    def refuse_third(_session: Session, events: Sequence[Event]) -> None:
        if any(event.task_id % 3 == 0 for event in events):  # type: ignore[attr-defined]
            raise ValueError("cannot take it")

    beside = Beside(refuse_third)
    serve(beside)
    create(20)
    company.call(jobs.relay)
    bad = company.value("SELECT count(*) FROM tasks WHERE id % 3 = 0")
    assert company.value("SELECT count(*) FROM dead_letters") == bad > 0
    assert len(beside.heard) == len({event.event_id for event in beside.heard}) == 20 - bad


def test_the_first_is_served_again_after_each_batch_of_the_others(
    company: Company, serve: Any, create: Any
) -> None:
    """Tasks that are created while the others are served are posted before their next batch."""
    posted: list[int] = []

    def look_and_create(session: Session, _events: Sequence[Event]) -> None:
        posted.append(session.execute(sql(POSTED)).scalar_one())
        if len(posted) < 3:
            ThreadPoolExecutor(1).submit(create, 2).result(10)

    serve(Beside(look_and_create))
    create(10)
    company.call(jobs.relay)
    assert posted == [10, 12, 14]


def test_when_the_first_fails_the_others_go_on(company: Company, serve: Any, create: Any) -> None:
    beside = Beside(lambda _session, _events: None)
    jobs.serve((Consumer("accounting", (TaskCreated,), crash), beside.consumer))
    create(3)
    try:
        with pytest.raises(RuntimeError, match="a bug"):
            company.call(jobs.relay)
    finally:
        jobs.serve(CONSUMERS)
    assert len(beside.heard) == 3
