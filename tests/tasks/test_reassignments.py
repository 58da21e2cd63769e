"""A reassignment can be watched: what it assigned, what the ledger has posted, what it cost."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from werkzeug.test import TestResponse

from app.accounting.commands import ACCOUNTING
from app.guardian.commands import stop
from app.outbox import dead_letters, relay
from app.tasks import commands, queries
from app.tasks.commands import Reassigned
from app.tasks.models import Draft
from tests.company import Company

TASKS = 10
FEES = """
SELECT coalesce(sum(t.amount), 0)::bigint FROM account_transfers t
JOIN outbox o ON o.event_id = t.event_id AND o.type = 'TaskAssigned'
"""
OF_ITS_MOMENT = """
SELECT count(*) FROM account_transfers t, reassignments r WHERE t.timestamp = r.at
"""
# What no role of the application may do: an event changed after it was written.
CHANGE_LAST_EVENT = """
ALTER TABLE outbox DISABLE TRIGGER USER;
UPDATE outbox SET {what} WHERE id = (SELECT max(id) FROM outbox);
ALTER TABLE outbox ENABLE TRIGGER USER
"""
ROWS = "SELECT count(*) FROM reassignments"


@pytest.fixture
def manager(company: Company, make_user: Callable[..., Any]) -> Any:
    """Beside ten open tasks of three developers, their fees posted."""
    manager = make_user("manager")
    for _ in range(3):
        make_user("developer")
    company.call(commands.create_tasks, manager.actor, [Draft(f"task {n}") for n in range(TASKS)])
    company.post()
    return manager


def posting(company: Company, made: Reassigned) -> queries.Posting:
    return queries.posting_of_reassignment(company.session, made.id)


def change_last_event(owner_url: str, what: str) -> None:
    with psycopg.connect(owner_url.replace("+psycopg", ""), autocommit=True) as owner:
        owner.execute(CHANGE_LAST_EVENT.format(what=what))


def words(answer: TestResponse) -> str:
    return re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", answer.get_data(as_text=True)))


def test_each_step_of_the_posting_is_seen(company: Company, manager: Any) -> None:
    made = company.call(commands.reassign_tasks, manager.actor)
    before = posting(company, made)
    assert (before.told, before.posted, before.left, before.fees_cents) == (TASKS, 0, TASKS, 0)
    company.call(relay.deliver_batch, ACCOUNTING, 4)  # the cursor stands among its events
    some = posting(company, made)
    assert (some.posted, some.left) == (4, TASKS - 4)
    assert some.fees_cents == company.value(FEES) > 0
    company.post()
    done = posting(company, made)
    assert (done.posted, done.left, done.fees_cents) == (TASKS, 0, company.value(FEES))
    assert sum(share.posted for share in done.shares) == TASKS
    assert sum(share.fees_cents for share in done.shares) == done.fees_cents


def test_who_got_most_comes_first(company: Company, manager: Any) -> None:
    made = company.call(commands.reassign_tasks, manager.actor)
    company.post()
    drawn = company.rows(
        "SELECT u.login, count(*) AS n FROM tasks t JOIN users u ON u.id = t.assigned_to"
        " GROUP BY u.login ORDER BY n DESC, u.login"
    )
    shares = posting(company, made).shares
    assert [(share.login, share.posted) for share in shares] == [tuple(row) for row in drawn]


def test_only_its_own_fees_count(company: Company, manager: Any) -> None:
    first = company.call(commands.reassign_tasks, manager.actor)
    second = company.call(commands.reassign_tasks, manager.actor)
    company.post()
    cost = posting(company, first).fees_cents
    assert cost == posting(company, second).fees_cents
    assert 2 * cost == company.value(FEES)


def test_a_fee_of_the_same_microsecond_is_told_apart(
    company: Company, manager: Any, owner_url: str
) -> None:
    made = company.call(commands.reassign_tasks, manager.actor)
    company.call(commands.create_task, manager.actor, name="of the same moment")
    change_last_event(owner_url, "occurred_at = (SELECT at FROM reassignments)")
    company.post()
    assert company.value(OF_ITS_MOMENT) == TASKS + 1
    assert posting(company, made).posted == TASKS
    assert posting(company, made).fees_cents == company.value(FEES)


def test_what_was_set_aside_is_not_waited_for(
    company: Company, manager: Any, owner_url: str, sign_in: Callable[..., Any]
) -> None:
    made = company.call(commands.reassign_tasks, manager.actor)
    change_last_event(owner_url, "schema_version = 99")
    company.post()
    parked = posting(company, made)
    assert (parked.posted, parked.parked, parked.left) == (TASKS - 1, 1, 0)
    page = words(sign_in(manager).get(f"/tasks/reassignments/{made.id}"))
    assert "One fee could not be posted" in page
    change_last_event(owner_url, "schema_version = 1")
    letter = company.value("SELECT id FROM dead_letters")
    assert company.call(dead_letters.retry, ACCOUNTING, letter)
    assert (posting(company, made).posted, posting(company, made).parked) == (TASKS, 0)


def test_the_page_follows_it_to_the_end(
    company: Company, manager: Any, sign_in: Callable[..., Any]
) -> None:
    browser = sign_in(manager)
    key = {"idempotency_key": "once"}
    url = browser.post("/tasks/reassignment", key).location
    assert browser.post("/tasks/reassignment", key).location == url, "sent twice, done once"
    assert company.value(ROWS) == 1
    page = browser.get(url)
    assert f"{TASKS} tasks were reassigned" in words(page)
    assert f"0 of {TASKS} posted" in words(page)
    assert 'hx-get="' + url in page.text
    assert "Look again" in page.text, "without JavaScript"
    assert f"{TASKS} left" in words(browser.get("/tasks/reassignments"))
    fragment = browser.get(url, htmx=True)
    assert "<html" not in fragment.text
    assert "hx-get" in fragment.text
    company.post()
    fragment = browser.get(url, htmx=True)
    assert "hx-get" not in fragment.text, "it ends"
    assert f"All {TASKS} fees are posted." in fragment.text
    page = words(browser.get(url))
    assert f"{TASKS} of {TASKS} posted" in page
    assert "Who got how many" in page
    assert "left" not in words(browser.get("/tasks/reassignments"))


def test_one_that_takes_long_says_so(
    company: Company, manager: Any, sign_in: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = sign_in(manager)
    url = browser.post("/tasks/reassignment").location
    assert "longer than usual" not in words(browser.get(url))
    monkeypatch.setattr("app.tasks.pages.views.SLOW_AFTER_S", -1)
    assert "longer than usual" in words(browser.get(url))
    company.post()
    assert "longer than usual" not in words(browser.get(url))


def test_it_is_the_board_s_and_one_that_is_missing_is_a_404(
    company: Company, manager: Any, make_user: Callable[..., Any], sign_in: Callable[..., Any]
) -> None:
    url = sign_in(manager).post("/tasks/reassignment").location
    assert sign_in(make_user("administrator")).get(url).status_code == 200
    assert sign_in(make_user("developer")).get(url).status_code == 403
    assert sign_in(manager).get("/tasks/reassignments/999").status_code == 404


def test_the_api_says_where_to_look_and_how_far_it_is(
    company: Company, manager: Any, api: Callable[..., Any]
) -> None:
    caller = api(manager)
    answer = caller.post("/tasks/reassignment", key="once")
    assert (answer.status_code, answer.json) == (202, {"reassigned": TASKS})
    assert caller.post("/tasks/reassignment", key="once").location == answer.location
    url = answer.location.partition("/api/v1")[2]
    found = caller.get(url).json
    assert (found["reassigned"], found["left"], found["charged"]) == (TASKS, TASKS, "0.00")
    company.post()
    found = caller.get(url).json
    assert (found["posted"], found["left"], found["parked"]) == (TASKS, 0, 0)
    assert found["charged"] == f"{company.value(FEES) / 100:.2f}"
    assert caller.get("/tasks/reassignments/999").status_code == 404


def test_a_stop_refuses_it_as_a_page_and_as_a_fragment(
    company: Company, manager: Any, sign_in: Callable[..., Any]
) -> None:
    browser = sign_in(manager)
    url = browser.post("/tasks/reassignment").location
    company.call(stop, None, reason="a drill", origin="command line")
    for htmx in (False, True):
        refused = browser.post("/tasks/reassignment", htmx=htmx)
        assert refused.status_code == 503
        assert refused.headers["Retry-After"]
        assert "Changes are stopped" in words(refused)
    assert company.value(ROWS) == 1
    assert f"0 of {TASKS} posted" in words(browser.get(url)), "what was done is shown"
