"""REST: what administrators ask."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from tests.accounting.board import NOON, charge, earn
from tests.api.answers import money, pages
from tests.company import Company

TODAY = NOON.date().isoformat()


def test_today_s_income(company: Company, make_user: Callable, api: Callable) -> None:
    caller, user = api(make_user("administrator")), make_user()
    company.at(NOON)
    income = -earn(company, user.id, NOON) - charge(company, user.id, NOON)
    charge(company, user.id, NOON - timedelta(days=1))
    answer = caller.get("/analytics/today-income")
    assert answer.json == {"business_day": TODAY, "income": money(income), "currency": "USD"}


def test_negative_balances(company: Company, make_user: Callable, api: Callable) -> None:
    caller = api(make_user("administrator"))
    debtors = [make_user() for _ in range(5)]
    debts = {user.id: charge(company, user.id) for user in debtors}
    earn(company, make_user().id)
    first = caller.get("/analytics/negative-balances?limit=2").json
    assert first["count"] == 5
    assert first["currency"] == "USD"
    found = pages(caller, "/analytics/negative-balances?limit=2")
    assert {item["user_id"]: item["balance"] for item in found} == {
        user_id: money(cents) for user_id, cents in debts.items()
    }
    assert {item["login"] for item in found} == {user.login for user in debtors}
    assert [float(item["balance"]) for item in found] == sorted(
        cents / 100 for cents in debts.values()
    )


def test_the_most_expensive_task(company: Company, make_user: Callable, api: Callable) -> None:
    caller, developer = api(make_user("administrator")), make_user()
    company.at(NOON)
    empty = caller.get("/analytics/most-expensive-task").json
    assert empty == {
        "from": TODAY,
        "to": TODAY,
        "completion_reward": None,
        "currency": "USD",
        "items": [],
    }
    own = api(developer)
    task_id = own.post("/tasks", {"name": "[K-1] x"}).json["id"]
    own.post(f"/tasks/{task_id}/completion")
    company.post()
    reward = money(company.value("SELECT complete_price FROM task_prices"))
    for query in ("", "?period=day", "?period=week", "?period=month", f"?from={TODAY}&to={TODAY}"):
        answer = caller.get(f"/analytics/most-expensive-task{query}").json
        assert answer["completion_reward"] == reward, query
        [item] = answer["items"]
        assert (item["id"], item["ticket_key"], item["name"]) == (task_id, "K-1", "x")
        assert (item["assigned_to"], item["assignee"]) == (developer.id, developer.login)
        assert item["completion_reward"] == reward
    week = caller.get("/analytics/most-expensive-task?period=week").json
    assert (week["from"], week["to"]) == (TODAY, TODAY)  # the day is a Monday
    past = caller.get("/analytics/most-expensive-task?from=2026-01-01&to=2026-01-31").json
    assert past["items"] == []
