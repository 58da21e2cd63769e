"""REST: tasks are created, reassigned, completed and listed."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime

from tests.api.answers import pages
from tests.company import Company

MONEY = re.compile(r"-?\d+\.\d\d")
TASK_FIELDS = {
    "id",
    "ticket_key",
    "name",
    "description",
    "assigned_to",
    "assignee",
    "is_finished",
    "created_at",
    "assigned_at",
    "finished_at",
    "assign_fee",
    "completion_reward",
}


def test_a_task_is_created(company: Company, make_user: Callable, api: Callable) -> None:
    manager, developer = make_user("manager"), make_user("developer")
    body = {"name": "[av-7] Fix the gate", "description": "It squeaks"}
    answer = api(manager).post("/tasks", body)
    assert answer.status_code == 201
    assert answer.json == {
        "id": answer.json["id"],
        "assigned_to": developer.id,
        "is_finished": False,
    }
    [task] = company.rows("SELECT * FROM tasks")
    assert (task.id, task.ticket_key, task.name) == (answer.json["id"], "AV-7", "Fix the gate")
    assert api(manager).post("/tasks", {"name": "no description"}).status_code == 201


def test_without_anyone_to_assign_creating_and_reassigning_are_conflicts(
    company: Company, make_user: Callable, api: Callable
) -> None:
    manager, developer = make_user("manager"), make_user("developer")
    caller = api(manager)
    caller.post("/tasks", {"name": "x"})
    company.rows("UPDATE users SET is_active = false WHERE id = :id RETURNING id", id=developer.id)
    for answer in (caller.post("/tasks", {"name": "y"}), caller.post("/tasks/reassignment")):
        assert answer.status_code == 409
        assert answer.mimetype == "application/problem+json"
        assert "add one first" in answer.json["detail"]
    assert company.value("SELECT count(*) FROM logs") == 1


def test_reassigning_says_how_many(company: Company, make_user: Callable, api: Callable) -> None:
    manager = make_user("manager")
    make_user("developer")
    caller = api(manager)
    answer = caller.post("/tasks/reassignment")
    assert (answer.status_code, answer.json) == (202, {"reassigned": 0})
    for name in ("a", "b"):
        caller.post("/tasks", {"name": name})
    answer = caller.post("/tasks/reassignment", {})
    assert (answer.status_code, answer.json) == (202, {"reassigned": 2})
    assert company.value("SELECT sum(assignments) FROM tasks") == 4


def test_a_task_is_completed_once_by_its_assignee(
    company: Company, make_user: Callable, api: Callable
) -> None:
    developer, other = make_user("developer"), make_user("manager")
    caller = api(developer)
    task_id = caller.post("/tasks", {"name": "x"}).json["id"]
    url = f"/tasks/{task_id}/completion"
    for stranger in (api(other), api(make_user("administrator"))):
        assert stranger.post(url).status_code == 404
    answer = caller.post(url)
    assert answer.status_code == 200
    assert answer.json == {"id": task_id, "assigned_to": developer.id, "is_finished": True}
    again = caller.post(url)
    assert again.status_code == 409
    assert again.json["detail"] == "This task is finished already"
    for missing in (task_id + 1, 0, 10**17, 10**30):
        assert caller.post(f"/tasks/{missing}/completion").status_code == 404
    company.post()
    assert company.value("SELECT count(*) FROM account_transfers") == 2
    assert not company.broken_rules()


def test_the_same_key_has_one_effect_and_one_answer(
    company: Company, make_user: Callable, api: Callable
) -> None:
    caller = api(make_user("developer"))
    first, second = (caller.post("/tasks", {"name": "x"}, key="k") for _ in range(2))
    assert first.json == second.json
    assert first.status_code == second.status_code == 201
    assert caller.post("/tasks", {"name": "y"}, key="k").status_code == 422
    url = f"/tasks/{first.json['id']}/completion"
    done, replayed = (caller.post(url, key="done") for _ in range(2))
    assert done.json == replayed.json
    assert replayed.status_code == 200
    assert replayed.headers["Idempotency-Replayed"] == "true"
    assert caller.post(url).status_code == 409
    assert company.value("SELECT count(*) FROM tasks") == 1
    assert company.value("SELECT count(*) FROM outbox") == 2


def test_one_s_own_tasks_are_listed_by_state(
    company: Company, make_user: Callable, api: Callable
) -> None:
    developer = make_user("developer")
    caller = api(developer)
    ids = [caller.post("/tasks", {"name": f"[K-{n}] task {n}"}).json["id"] for n in range(3)]
    caller.post(f"/tasks/{ids[0]}/completion")
    for_all = caller.get("/me/tasks?state=open").json
    assert [task["id"] for task in for_all["items"]] == ids[:0:-1]
    assert caller.get("/me/tasks").json == for_all
    assert for_all["next_cursor"] is None
    assert for_all["currency"] == "USD"
    assert {task["assign_fee"] for task in for_all["items"]} == {None}  # not drawn yet
    company.post()
    [task] = caller.get("/me/tasks?state=finished").json["items"]
    assert task.keys() == TASK_FIELDS
    assert (task["id"], task["name"], task["ticket_key"]) == (ids[0], "task 0", "K-0")
    assert (task["assigned_to"], task["assignee"]) == (developer.id, developer.login)
    assert MONEY.fullmatch(task["assign_fee"])
    assert MONEY.fullmatch(task["completion_reward"])
    for name in ("created_at", "assigned_at", "finished_at"):
        assert datetime.fromisoformat(task[name]).tzinfo is not None
    assert api(make_user("other")).get("/me/tasks").json["items"] == []


def test_the_board_is_filtered(make_user: Callable, api: Callable) -> None:
    manager, developer = make_user("manager"), make_user("developer")
    caller = api(manager)
    names = ["[AV-1] Paint 100% of the gate", "[AV-2] Paint the fence", "Weigh the birds"]
    ids = [caller.post("/tasks", {"name": name}).json["id"] for name in names]
    api(developer).post(f"/tasks/{ids[2]}/completion")

    def found(**query: str) -> list[int]:
        answer = caller.get("/tasks", query_string=query)
        assert answer.status_code == 200, answer.json
        return [task["id"] for task in answer.json["items"]]

    assert found() == ids[::-1]
    assert found(state="finished") == [ids[2]]
    assert found(state="open", q="paint") == [ids[1], ids[0]]
    assert found(q="av-2") == [ids[1]]
    assert found(q="the paint") == [ids[1], ids[0]]
    assert found(q="100%") == [ids[0]]
    assert found(q="%") == [ids[0]]
    assert found(q="_") == found(q="\\") == found(q="'; --") == []
    assert found(assigned_to=str(developer.id)) == ids[::-1]
    assert found(assigned_to=str(manager.id)) == found(assigned_to=str(10**17)) == []


def test_pages_show_every_task_once_while_tasks_are_added(
    make_user: Callable, api: Callable
) -> None:
    manager, developer = make_user("manager"), make_user("developer")
    caller = api(manager)

    def create() -> int:
        return int(caller.post("/tasks", {"name": "x"}).json["id"])

    ids = [create() for _ in range(7)]
    for who, url in ((manager, "/tasks?limit=2"), (developer, "/me/tasks?limit=3")):
        seen = [task["id"] for task in pages(api(who), url, create)]
        assert [one for one in seen if one in ids] == ids[::-1]
        assert len(set(seen)) == len(seen)
        ids = [task["id"] for task in pages(api(who), url)][::-1]
