"""Completing a task: once, by whoever has it at that moment."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from app.kernel.db import in_transaction
from app.kernel.errors import Conflict, Forbidden, NotFound
from app.tasks import commands
from tests.company import Company

WAIT_S = 10


def held_open(
    company: Company, command: Callable[[], Any]
) -> tuple[threading.Thread, threading.Event]:
    """Run `command` in a thread, whose transaction commits only when `release` is set."""
    ran, release = threading.Event(), threading.Event()

    def work(_session: Any) -> None:
        command()
        ran.set()
        assert release.wait(WAIT_S)

    thread = threading.Thread(target=lambda: company.call(in_transaction, work))
    thread.start()
    assert ran.wait(WAIT_S)
    return thread, release


def test_the_assignee_completes_logs_and_tells(company: Company, make_user: Callable) -> None:
    developer = make_user("developer")
    task_id = company.call(commands.create_task, developer.actor, name="x").task_id
    company.call(commands.complete_task, developer.actor, task_id)
    [task] = company.rows("SELECT * FROM tasks")
    [log] = company.rows("SELECT * FROM logs WHERE type = 'complete'")
    [event] = company.rows("SELECT * FROM outbox WHERE type = 'TaskCompleted'")
    assert task.is_finished
    assert (log.task_id, log.user_id, log.actor_id) == (task_id, developer.id, developer.id)
    assert (event.task_id, event.user_id) == (task_id, developer.id)
    assert log.event_id == event.event_id
    assert task.finished_at == log.timestamp == event.occurred_at


def test_a_second_completion_is_refused_and_pays_nothing(
    company: Company, make_user: Callable
) -> None:
    developer = make_user("developer")
    task_id = company.call(commands.create_task, developer.actor, name="x").task_id
    company.call(commands.complete_task, developer.actor, task_id)
    with pytest.raises(Conflict, match="finished already"):
        company.call(commands.complete_task, developer.actor, task_id)
    company.post()
    kinds = company.rows("SELECT kind FROM account_transfers ORDER BY id")
    assert [row.kind for row in kinds] == ["assign_fee", "completion_reward"]
    assert not company.broken_rules()


def test_nobody_else_may_complete_it(company: Company, make_user: Callable) -> None:
    developer = make_user("developer")
    task_id = company.call(commands.create_task, developer.actor, name="x").task_id
    for role in ("developer", "manager", "administrator", "accountant", "boss", "other"):
        with pytest.raises(NotFound):
            company.call(commands.complete_task, make_user(role).actor, task_id)
    with pytest.raises(Forbidden):
        company.call(commands.complete_task, make_user("internalservice").actor, task_id)
    with pytest.raises(NotFound):
        company.call(commands.complete_task, developer.actor, task_id + 1)
    assert company.value("SELECT count(*) FROM tasks WHERE is_finished") == 0


def test_of_many_at_once_one_takes_effect(company: Company, make_user: Callable) -> None:
    developer = make_user("developer")
    task_id = company.call(commands.create_task, developer.actor, name="x").task_id
    start = threading.Barrier(6)

    def complete(_number: int) -> bool:
        start.wait(WAIT_S)
        try:
            company.call(commands.complete_task, developer.actor, task_id)
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(complete, range(6))) == [False] * 5 + [True]
    company.post()
    assert not company.broken_rules()


def test_a_reassignment_under_way_is_waited_for_and_wins(
    company: Company, make_user: Callable
) -> None:
    manager, loser = make_user("manager"), make_user("developer")
    task_id = company.call(commands.create_task, manager.actor, name="x").task_id
    company.rows("UPDATE users SET is_active = false WHERE id = :id RETURNING id", id=loser.id)
    winner = make_user("developer")
    thread, release = held_open(company, lambda: commands.reassign_tasks(manager.actor))
    with ThreadPoolExecutor(1) as pool:
        completion = pool.submit(company.call, commands.complete_task, loser.actor, task_id)
        with pytest.raises(TimeoutError):
            completion.result(timeout=0.2)
        release.set()
        with pytest.raises(NotFound):
            completion.result(timeout=WAIT_S)
    thread.join(WAIT_S)
    company.call(commands.complete_task, winner.actor, task_id)
    company.post()
    assert not company.broken_rules()


def test_a_completion_under_way_is_waited_for_and_wins(
    company: Company, make_user: Callable
) -> None:
    manager, developer = make_user("manager"), make_user("developer")
    task_id = company.call(commands.create_task, manager.actor, name="x").task_id
    thread, release = held_open(company, lambda: commands.complete_task(developer.actor, task_id))
    with ThreadPoolExecutor(1) as pool:
        reassignment = pool.submit(company.call, commands.reassign_tasks, manager.actor)
        with pytest.raises(TimeoutError):
            reassignment.result(timeout=0.2)
        release.set()
        assert reassignment.result(timeout=WAIT_S).count == 0
    thread.join(WAIT_S)
    assert company.value("SELECT count(*) FROM logs WHERE type = 'assign'") == 0
    company.post()
    assert not company.broken_rules()
