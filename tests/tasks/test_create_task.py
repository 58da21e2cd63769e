"""Creating a task: a random employee gets it, with a log row and an event, at once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from app.kernel.errors import BadInput, Conflict, Forbidden
from app.kernel.policy import HUMANS, Role
from app.tasks import commands
from app.tasks.models import DESCRIPTION_MAX_LENGTH, NAME_MAX_LENGTH, Draft
from tests.company import Company

ASSIGNABLE = {"boss", "accountant", "developer", "other"}
BAD = [
    ("", "", "name"),
    (" \t\n ", "", "name"),
    ("[KEY-1]  ", "", "name"),
    ("x" * (NAME_MAX_LENGTH + 1), "", "name"),
    ("a [b] c", "", "name"),
    ("[no key] x", "", "name"),
    ("x", "d" * (DESCRIPTION_MAX_LENGTH + 1), "description"),
]


def test_a_task_is_assigned_logged_and_told(company: Company, make_user: Callable) -> None:
    manager, developer = make_user("manager"), make_user("developer")
    created = company.call(
        commands.create_task,
        manager.actor,
        name="  [ab-12]  Fix \n the gate ",
        description=" one\r\ntwo ",
    )
    assert (created.assigned_to, created.assignee_login) == (developer.id, developer.login)
    [task] = company.rows("SELECT * FROM tasks")
    [log] = company.rows("SELECT * FROM logs")
    [event] = company.rows("SELECT * FROM outbox")
    assert (task.ticket_key, task.name, task.description) == ("AB-12", "Fix the gate", "one\ntwo")
    assert (task.assigned_to, task.created_by) == (developer.id, manager.id)
    assert not task.is_finished
    who = (task.id, developer.id, manager.id)
    assert (log.type, log.task_id, log.user_id, log.actor_id) == ("create", *who)
    assert (event.type, event.task_id, event.user_id, event.actor_id) == ("TaskCreated", *who)
    assert log.event_id == event.event_id
    assert task.created_at == log.timestamp == event.occurred_at


def test_every_human_role_may_create_and_a_service_may_not(
    company: Company, make_user: Callable
) -> None:
    make_user("other")
    for role in HUMANS:
        assert company.call(commands.create_task, make_user(role).actor, name="x").task_id
    with pytest.raises(Forbidden):
        company.call(commands.create_task, make_user(Role.INTERNALSERVICE).actor, name="x")
    assert company.value("SELECT count(*) FROM tasks") == len(HUMANS)


def test_only_assignable_employees_are_drawn(company: Company, make_user: Callable) -> None:
    users = [make_user(role) for role in Role]
    gone = make_user("developer")
    company.rows("UPDATE users SET is_active = false WHERE id = :id RETURNING id", id=gone.id)
    drafts = [Draft(f"task {number}") for number in range(200)]
    company.call(commands.create_tasks, users[0].actor, drafts)
    drawn = company.rows(
        "SELECT DISTINCT u.id, u.role::text FROM tasks t JOIN users u ON u.id = t.assigned_to"
    )
    assert {row.role for row in drawn} == ASSIGNABLE
    assert gone.id not in {row.id for row in drawn}


def test_without_an_assignable_employee_nothing_is_created(
    company: Company, make_user: Callable
) -> None:
    manager = make_user("manager")
    with pytest.raises(Conflict, match="No employee"):
        company.call(commands.create_task, manager.actor, name="x")
    assert company.value("SELECT count(*) FROM tasks") == 0
    assert company.value("SELECT count(*) FROM outbox") == 0


def test_a_bad_field_is_named_and_nothing_is_created(company: Company, make_user: Callable) -> None:
    actor = make_user("developer").actor
    for name, description, field in BAD:
        with pytest.raises(BadInput) as refusal:
            company.call(commands.create_tasks, actor, [Draft("good"), Draft(name, description)])
        assert set(refusal.value.fields) == {field}, name
    assert company.value("SELECT count(*) FROM tasks") == 0


def test_the_longest_name_and_description_fit(company: Company, make_user: Callable) -> None:
    actor = make_user("developer").actor
    name, description = "ы" * NAME_MAX_LENGTH, "ы" * DESCRIPTION_MAX_LENGTH
    text = f"[{'K' * 20}-1234567890] {name}"
    company.call(commands.create_task, actor, name=text, description=description)
    [task] = company.rows("SELECT name, description FROM tasks")
    assert (task.name, task.description) == (name, description)
