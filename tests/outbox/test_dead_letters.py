"""Events that cannot be taken are set aside with their cause; the others go on."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from app.accounting.commands import ACCOUNTING
from app.kernel.errors import BadInput, NotFound
from app.outbox import dead_letters, relay
from app.tasks import commands
from app.tasks.models import Draft
from tests.company import Company

WRITE = """
INSERT INTO outbox (type, schema_version, task_id, user_id, actor_id)
VALUES (:type, :version, :task_id, :user_id, :user_id) RETURNING event_id
"""
LETTERS = "SELECT * FROM dead_letters ORDER BY id"


def write(
    company: Company, type_: str = "TaskCreated", version: int = 1, **ids: int | None
) -> None:
    names = {"type": type_, "version": version, "task_id": None, "user_id": None, **ids}
    company.rows(WRITE, **names)


def test_the_events_at_fault_are_parked_and_the_rest_of_their_batch_is_posted(
    company: Company, make_user: Callable
) -> None:
    manager, developer = make_user("manager"), make_user("developer")
    create = [Draft(f"task {number}") for number in range(20)]
    [first, *_] = company.call(commands.create_tasks, manager.actor, create)
    write(company, task_id=10**9, user_id=developer.id)  # no such task
    company.call(commands.create_tasks, manager.actor, create)
    write(company, task_id=first.task_id, user_id=10**9)  # no such employee
    write(company, task_id=first.task_id)  # for nobody
    write(company, version=99, task_id=first.task_id, user_id=developer.id)
    write(company, "TaskTeleported", task_id=first.task_id, user_id=developer.id)
    write(company, "UserRegistered", user_id=developer.id)  # known, and not for Accounting
    company.call(commands.create_tasks, manager.actor, create)
    assert company.post() == relay.Drained(66, 5)
    assert company.value("SELECT count(*) FROM account_transfers") == 60
    letters = company.rows(LETTERS)
    assert [(letter.type, letter.state) for letter in letters] == [
        ("TaskCreated", "parked"),
        ("TaskCreated", "parked"),
        ("TaskCreated", "parked"),
        ("TaskCreated", "parked"),
        ("TaskTeleported", "parked"),
    ]
    causes = (
        "task_prices_task_id_fkey",
        "accounts_user_id_fkey",
        "user_id",
        "version 99",
        "unknown",
    )
    for letter, cause in zip(letters, causes, strict=True):
        assert cause in letter.cause
    assert len({letter.fingerprint for letter in letters}) == 5
    assert set(company.broken_rules()) == {"no event is parked"}


def test_a_letter_is_retried_later_and_later_until_its_cause_is_gone(
    company: Company, make_user: Callable
) -> None:
    manager, developer = make_user("manager"), make_user("developer")
    task = company.call(commands.create_task, manager.actor, name="x")
    write(company, "TaskAssigned", task_id=task.task_id + 1, user_id=developer.id)
    company.post()
    assert company.call(dead_letters.retry_due, ACCOUNTING) == 0  # not due yet
    for attempts, minutes in ((2, 2), (3, 4)):
        company.rows("UPDATE dead_letters SET retry_at = now() RETURNING id")
        assert company.call(dead_letters.retry_due, ACCOUNTING) == 0
        [letter] = company.rows("SELECT *, retry_at - now() AS wait FROM dead_letters")
        assert (letter.state, letter.attempts) == ("parked", attempts)
        assert (minutes - 1) * 60 <= letter.wait.total_seconds() <= minutes * 60
    company.call(commands.create_task, manager.actor, name="the one that was missing")
    company.rows("UPDATE dead_letters SET retry_at = now() RETURNING id")
    assert company.call(dead_letters.retry_due, ACCOUNTING) == 1
    [letter] = company.rows(LETTERS)
    assert letter.state == "retried"
    assert letter.settled_at is not None
    posted = "SELECT count(*) FROM account_transfers WHERE event_id = :event_id"
    assert company.value(posted, event_id=letter.event_id) == 1
    with pytest.raises(NotFound):
        company.call(dead_letters.retry, ACCOUNTING, letter.id)
    assert company.value(posted, event_id=letter.event_id) == 1


def test_a_letter_is_discarded_with_a_reason_only_and_once(
    company: Company, make_user: Callable
) -> None:
    administrator = make_user("administrator")
    write(company, "TaskTeleported")
    company.post()
    [letter] = company.rows(LETTERS)
    for reason in ("", "  ", "x" * 501):
        with pytest.raises(BadInput):
            company.call(dead_letters.discard, letter.id, reason=reason)
    options = {"reason": "a test's", "actor": administrator.actor}
    company.call(dead_letters.discard, letter.id, **options)
    [letter] = company.rows(LETTERS)
    assert (letter.state, letter.reason, letter.settled_by) == (
        "discarded",
        "a test's",
        administrator.id,
    )
    with pytest.raises(NotFound):
        company.call(dead_letters.discard, letter.id, **options)
    with pytest.raises(NotFound):
        company.call(dead_letters.retry, ACCOUNTING, letter.id)
