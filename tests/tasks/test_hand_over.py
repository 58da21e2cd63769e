"""Whoever stops being assignable hands their open tasks to others, in the same transaction."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.auth import commands as auth
from app.kernel.errors import Conflict
from app.kernel.policy import Role
from app.tasks import commands
from app.tasks.models import Draft
from tests.company import Company

WAIT_S = 10
OPEN_OF = "SELECT count(*) FROM tasks WHERE assigned_to = :id AND NOT is_finished"


def test_deactivation_hands_over_the_open_tasks_only(company: Company, make_user: Callable) -> None:
    administrator, leaver = make_user("administrator"), make_user("developer")
    drafts = [Draft(f"task {number}") for number in range(10)]
    tasks = company.call(commands.create_tasks, administrator.actor, drafts)
    company.call(commands.complete_task, leaver.actor, tasks[0].task_id)
    heirs = {make_user("developer").id, make_user("other").id}
    company.call(auth.set_active, administrator.actor, user_id=leaver.id, is_active=False)
    assert company.value(OPEN_OF, id=leaver.id) == 0
    logs = company.rows("SELECT * FROM logs WHERE type = 'assign' ORDER BY task_id")
    assert [log.task_id for log in logs] == [task.task_id for task in tasks[1:]]
    assert {log.user_id for log in logs} <= heirs
    assert {log.actor_id for log in logs} == {administrator.id}
    company.post()
    assert not company.broken_rules()


def test_a_role_that_cannot_be_assigned_hands_over_and_another_does_not(
    company: Company, make_user: Callable
) -> None:
    administrator, person = make_user("administrator"), make_user("developer")
    company.call(commands.create_task, administrator.actor, name="x")
    heir = make_user("developer")
    company.call(auth.change_role, administrator.actor, user_id=person.id, role=Role.OTHER)
    assert company.value(OPEN_OF, id=person.id) == 1
    company.call(auth.change_role, administrator.actor, user_id=person.id, role=Role.MANAGER)
    assert company.value(OPEN_OF, id=person.id) == 0
    assert company.value(OPEN_OF, id=heir.id) == 1


def test_with_nobody_left_the_person_stays(company: Company, make_user: Callable) -> None:
    administrator, last = make_user("administrator"), make_user("developer")
    company.call(commands.create_task, administrator.actor, name="x")
    with pytest.raises(Conflict, match="No employee"):
        company.call(auth.set_active, administrator.actor, user_id=last.id, is_active=False)
    assert company.value("SELECT is_active FROM users WHERE id = :id", id=last.id)
    assert company.value(OPEN_OF, id=last.id) == 1


def test_nobody_who_is_leaving_is_given_a_task(company: Company, make_user: Callable) -> None:
    administrator = make_user("administrator")
    leavers = [make_user("developer") for _ in range(4)]
    make_user("developer")
    start = threading.Barrier(4)

    def create(number: int) -> None:
        start.wait(WAIT_S)
        for count in range(15):
            company.call(commands.create_task, administrator.actor, name=f"task {number}.{count}")

    def leave() -> None:
        start.wait(WAIT_S)
        for leaver in leavers:
            company.call(auth.set_active, administrator.actor, user_id=leaver.id, is_active=False)

    with ThreadPoolExecutor(4) as pool:
        work = [pool.submit(create, number) for number in range(3)] + [pool.submit(leave)]
        for one in work:
            one.result(WAIT_S)
    stranded = (
        "SELECT count(*) FROM tasks t JOIN users u ON u.id = t.assigned_to WHERE NOT u.is_active"
    )
    assert company.value(stranded) == 0
    assert company.value("SELECT count(*) FROM tasks") == 45
    company.post()
    assert not company.broken_rules()
