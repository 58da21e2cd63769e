"""Bad input to every field of every operation: a 4xx that points at it, and nothing changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from app.web.keyset import encode
from tests.accounting.board import NOON, earn
from tests.company import Company

TABLES = ("tasks", "logs", "outbox", "account_transfers", "business_days", "payouts", "emails")
MISSING = object()
NOT_TEXT = (None, 1, 1.5, True, ["x"], {"x": 1})
UNSTORABLE = ("a\0b", "\ud800", "\udfff x")
NOT_DAYS = (
    *NOT_TEXT,
    *UNSTORABLE,
    "",
    "tomorrow",
    "2026-3-2",
    "20260302",
    "2026-W10-1",
    "2026-02-30",
    "2026-03-02T00:00:00Z",
    " 2026-03-02",
    "02.03.2026",
    "٢٠٢٦-٠٣-٠٢",
    "-2026-03-02",
    "2026-03-02\n",
)
# Operation, field, whether it must be given, and values that it does not take.
BODIES: list[tuple[str, str, tuple[Any, ...]]] = [
    ("/tasks", "name", (MISSING, *NOT_TEXT, *UNSTORABLE, "", "  ", "x" * 201, "x" * 241, "a ] b")),
    ("/tasks", "description", (*NOT_TEXT, *UNSTORABLE, "x" * 20_001)),
    ("/payouts", "business_day", NOT_DAYS),
]
# What nobody may set, beside what is right.
FORBIDDEN = (
    "id",
    "assigned_to",
    "is_finished",
    "role",
    "created_at",
    "balance",
    "Name",
    "",
    "__proto__",
)
NOT_NUMBERS = (
    "",
    "x",
    "-1",
    "+1",
    "1.0",
    "1e2",
    " 1",
    "1 ",
    "٣",
    "0x1",
    "true",
    "null",
    "9" * 19,
    "9" * 5000,
)
LISTS = {
    "/me/tasks": encode(10),
    "/tasks": encode(10),
    "/me/transfers": encode(NOON.date(), 10),
    "/transfers": encode(NOON.date(), 10),
    "/analytics/negative-balances": encode(-10, 10),
}
CURSORS = (
    "",
    "!",
    "x",
    "e30",
    "é",
    "W10",
    "x" * 121,
    encode(),
    encode(1, 2, 3),
    encode(2**63),
    encode(NOON.date()),
    encode(10) + "=",
    encode(10) + "A",
)
QUERIES: list[tuple[str, str, tuple[str, ...]]] = [
    *((url, "limit", (*NOT_NUMBERS, "0", "201")) for url in LISTS),
    *((url, "cursor", (*CURSORS, *(set(LISTS.values()) - {own}))) for url, own in LISTS.items()),
    ("/me/tasks", "state", ("", "OPEN", "closed", "open ", "open\0")),
    ("/tasks", "state", ("", "OPEN", "closed", "open ", "open\0")),
    ("/tasks", "assigned_to", (*NOT_NUMBERS, "0")),
    ("/tasks", "q", ("x" * 101, "a\0b")),
    ("/transfers", "user_id", (*NOT_NUMBERS, "0")),
    ("/analytics/most-expensive-task", "period", ("", "DAY", "year", "day\0")),
]
PLAIN = ("/me/balance", "/analytics/today-income", *LISTS, "/analytics/most-expensive-task")


@pytest.fixture
def callers(company: Company, make_user: Callable, api: Callable) -> Callable[[str], Any]:
    """Somebody who may call what stands at an address, and a company where something happened."""
    users = {role: make_user(role) for role in ("manager", "accountant", "administrator")}
    earn(company, users["accountant"].id)
    company.at(NOON)
    apis = {role: api(user) for role, user in users.items()}

    def caller(url: str) -> Any:
        if url.startswith(("/transfers", "/payouts")):
            return apis["accountant"]
        return apis["administrator" if url.startswith("/analytics") else "manager"]

    return caller


@pytest.fixture(autouse=True)
def nothing_changes(company: Company, callers: object) -> Any:
    def rows() -> dict[str, int]:
        return {table: company.value(f"SELECT count(*) FROM {table}") for table in TABLES}

    before = rows()
    yield
    assert rows() == before


def refusal(answer: Any, case: object, *, points_at: str | None = None, status: int = 422) -> None:
    assert answer.status_code == status, (case, answer.text[:300])
    assert answer.mimetype == "application/problem+json", case
    assert answer.json["status"] == status
    if points_at is not None:
        assert points_at in {error["pointer"] for error in answer.json["errors"]}, (
            case,
            answer.json,
        )


def test_fields_of_bodies(callers: Callable[[str], Any]) -> None:
    for url, field, values in BODIES:
        for value in values:
            body = {"name": "fine"} if url == "/tasks" else {}
            if value is MISSING:
                del body[field]
            else:
                body[field] = value
            answer = callers(url).post(url, data=json.dumps(body), content_type="application/json")
            refusal(answer, (url, field, value), points_at=f"#/{field}")


def test_fields_that_nobody_may_set(callers: Callable[[str], Any]) -> None:
    for name in FORBIDDEN:
        refusal(callers("/tasks").post("/tasks", {"name": "fine", name: 1}), name)
        refusal(callers("/payouts").post("/payouts", {name: 1}), name)
        refusal(callers("/tasks").post("/tasks/reassignment", {name: 1}), name)
        refusal(callers("/tasks").post("/tasks/1/completion", {name: 1}), name)


def test_bodies_that_are_no_object(callers: Callable[[str], Any]) -> None:
    deep = b'{"name":' + b"[" * 200_000 + b"]" * 200_000 + b"}"
    bodies = {
        b"": 422,
        b"[]": 422,
        b'"x"': 422,
        b"1": 422,
        b"null": 422,
        b"{": 400,
        b"{'name': 'x'}": 400,
        b'{"name": "x",}': 400,
        b'{"name": "\xff"}': 400,
        b'{"name": "x", "name": "y"}': 422,
        b'{"name": NaN}': 422,
        b'{"name": -Infinity}': 422,
        b'{"name": 1e999}': 422,
        b'{"name": ' + b"9" * 10_000 + b"}": 422,
        deep: 422,
        b" " * (1024 * 1024 + 1): 413,
    }
    for body, status in bodies.items():
        answer = callers("/tasks").post("/tasks", data=body, content_type="application/json")
        refusal(answer, body[:40], status=status)
    for kind in ("text/plain", "application/xml", "application/x-www-form-urlencoded", ""):
        answer = callers("/tasks").post("/tasks", data=b'{"name": "x"}', content_type=kind)
        assert answer.status_code in {415, 422}, kind


def test_fields_of_queries(callers: Callable[[str], Any]) -> None:
    for url, field, values in QUERIES:
        for value in values:
            answer = callers(url).get(f"{url}?{field}={quote(value)}")
            refusal(answer, (url, field, value), points_at=f"?{field}")


def test_days_of_queries(callers: Callable[[str], Any]) -> None:
    days = [day for day in NOT_DAYS if isinstance(day, str) and day not in UNSTORABLE]
    for url in ("/me/transfers", "/transfers", "/analytics/most-expensive-task"):
        for field, other in (("from", "to"), ("to", "from")):
            for day in (*days, "2026-03-02\0"):
                answer = callers(url).get(f"{url}?{field}={quote(day)}&{other}=2026-03-02")
                refusal(answer, (url, field, day), points_at=f"?{field}")
        refusal(callers(url).get(f"{url}?from=2026-03-02&to=2026-03-01"), url, points_at="?to")
        refusal(callers(url).get(f"{url}?from=2010-01-01&to=2026-01-01"), url, points_at="?to")
    url = "/analytics/most-expensive-task"
    refusal(callers(url).get(f"{url}?from=2026-03-02"), "one end", points_at="?to")
    refusal(callers(url).get(f"{url}?to=2026-03-02"), "one end", points_at="?from")
    both = callers(url).get(f"{url}?period=day&from=2026-03-02&to=2026-03-02")
    refusal(both, "by name and by ends", points_at="?period")


def test_names_that_a_query_does_not_take(callers: Callable[[str], Any]) -> None:
    for url in PLAIN:
        for query, points_at in (
            ("nonsense=1", "?nonsense"),
            ("Limit=1", "?Limit"),
            ("limit[]=1", "?limit[]"),
        ):
            refusal(callers(url).get(f"{url}?{query}"), (url, query), points_at=points_at)
    for url in LISTS:
        refusal(callers(url).get(f"{url}?limit=1&limit=2"), url, points_at="?limit")
    for url, body in (("/tasks", {"name": "x"}), ("/tasks/reassignment", None), ("/payouts", None)):
        refusal(callers(url).post(f"{url}?dry_run=1", body), url, points_at="?dry_run")


def test_keys_that_are_none(callers: Callable[[str], Any]) -> None:
    for key in ("", "x" * 201, "with space", "ключ", "tab\there"):
        for url in ("/tasks", "/payouts"):
            body = {"name": "x"} if url == "/tasks" else None
            headers = {"Idempotency-Key": key.encode().decode("latin-1")}
            answer = callers(url)._send("POST", url, headers, json=body)
            refusal(answer, key, points_at="#/Idempotency-Key")


def test_other_ways_to_call(callers: Callable[[str], Any], company: Company) -> None:
    caller = callers("/tasks")
    assert caller.delete("/tasks").status_code == 405
    assert caller.get("/tasks/1").status_code == 404
    for task_id in ("x", "-1", "1.5", "1e3", "٣", "%00", "9" * 19, "9" * 5000):
        answer = caller.post(f"/tasks/{task_id}/completion")
        refusal(answer, task_id, status=404)
