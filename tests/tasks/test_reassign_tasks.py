"""Reassigning: a fresh uniform draw for every open task, in one transaction."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.kernel.errors import AtesError, Conflict, Forbidden
from app.kernel.policy import Role
from app.tasks import commands
from app.tasks.models import Draft
from tests.company import Company

EMPLOYEES = 20
TASKS = 4_000
# Chi-square with 19 degrees of freedom passes this once in about ten million draws.
CHI_SQUARE_MAX = 70.0
WAIT_S = 10


def chi_square(drawn: Iterable[int], choices: Iterable[int]) -> float:
    """How far the counts of what was drawn are from being equal."""
    counts = Counter(dict.fromkeys(choices, 0))
    counts.update(drawn)
    expected = counts.total() / len(counts)
    return sum((count - expected) ** 2 / expected for count in counts.values())


def test_the_draw_is_uniform_and_independent_of_who_had_the_task(
    company: Company, make_user: Callable
) -> None:
    manager = make_user("manager")
    employees = [make_user("developer").id for _ in range(EMPLOYEES)]
    drafts = [Draft(f"task {number}") for number in range(TASKS)]
    first = [
        task.assigned_to for task in company.call(commands.create_tasks, manager.actor, drafts)
    ]
    assert company.call(commands.reassign_tasks, manager.actor).count == TASKS
    second = [row.assigned_to for row in company.rows("SELECT assigned_to FROM tasks ORDER BY id")]
    assert chi_square(first, employees) < CHI_SQUARE_MAX
    assert chi_square(second, employees) < CHI_SQUARE_MAX
    # The assignee of before is drawn again as often as anyone: 200 are expected, sigma is 14.
    kept = sum(old == new for old, new in zip(first, second, strict=True))
    assert 110 < kept < 290
    again = "SELECT count(*) FROM tasks WHERE assignments = 2 AND assigned_at >= created_at"
    assert company.value(again) == TASKS


def test_the_bound_of_the_draw_would_notice_a_bias() -> None:
    rng = random.Random(7)
    biased = [int(EMPLOYEES * rng.random() ** 1.2) for _ in range(TASKS)]
    assert chi_square(biased, range(EMPLOYEES)) > CHI_SQUARE_MAX


def test_only_open_tasks_are_reassigned_each_with_a_log_and_an_event(
    company: Company, make_user: Callable
) -> None:
    manager, developer = make_user("manager"), make_user("developer")
    tasks = company.call(commands.create_tasks, manager.actor, [Draft("a"), Draft("b"), Draft("c")])
    company.call(commands.complete_task, developer.actor, tasks[0].task_id)
    assert company.call(commands.reassign_tasks, manager.actor).count == 2
    logs = company.rows("SELECT * FROM logs WHERE type = 'assign' ORDER BY task_id")
    events = company.rows("SELECT * FROM outbox WHERE type = 'TaskAssigned' ORDER BY task_id")
    assert [log.task_id for log in logs] == [task.task_id for task in tasks[1:]]
    assert [log.event_id for log in logs] == [event.event_id for event in events]
    assert {(log.user_id, log.actor_id) for log in logs} == {(developer.id, manager.id)}
    company.post()
    # The only employee was drawn again each time, and charged again.
    assert company.value("SELECT count(*) FROM account_transfers WHERE kind = 'assign_fee'") == 5
    assert not company.broken_rules()


def test_who_may_not_reassign(company: Company, make_user: Callable) -> None:
    for role in set(Role) - {Role.MANAGER, Role.ADMINISTRATOR}:
        with pytest.raises(Forbidden):
            company.call(commands.reassign_tasks, make_user(role).actor)
    assert company.call(commands.reassign_tasks, make_user("administrator").actor).count == 0


def test_with_nobody_to_draw_nothing_changes(company: Company, make_user: Callable) -> None:
    manager, developer = make_user("manager"), make_user("developer")
    company.call(commands.create_task, manager.actor, name="x")
    company.rows("UPDATE users SET is_active = false WHERE id = :id RETURNING id", id=developer.id)
    with pytest.raises(Conflict, match="No employee"):
        company.call(commands.reassign_tasks, manager.actor)
    assert company.value("SELECT count(*) FROM outbox") == 1


def test_completions_and_reassignments_at_once_leave_each_task_one_story(
    company: Company, make_user: Callable
) -> None:
    manager = make_user("manager")
    developers = [make_user("developer").actor for _ in range(4)]
    drafts = [Draft(f"task {number}") for number in range(60)]
    tasks = company.call(commands.create_tasks, manager.actor, drafts)
    start = threading.Barrier(5)

    def complete_all(number: int) -> int:
        done = 0
        start.wait(WAIT_S)
        for task in tasks:
            try:
                company.call(commands.complete_task, developers[number], task.task_id)
            except AtesError:
                continue
            done += 1
        return done

    def reassign_often(_number: int) -> int:
        start.wait(WAIT_S)
        return -sum(
            company.call(commands.reassign_tasks, manager.actor).count > 0 for _ in range(8)
        )

    with ThreadPoolExecutor(5) as pool:
        rounds = pool.submit(reassign_often, 0)
        done = sum(pool.map(complete_all, range(4)))
        assert rounds.result(WAIT_S) < 0
    company.post()
    assert company.value("SELECT count(*) FROM tasks WHERE is_finished") == done
    assert not company.broken_rules()
