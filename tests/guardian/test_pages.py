"""Event flow and dead letters as an administrator sees and settles them; a dead guardian."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from app.guardian.commands import check_increment
from app.kernel.policy import Role
from app.tasks import commands as tasks
from app.tasks.models import Draft
from tests.company import Company
from tests.conftest import Browser, User


@pytest.fixture
def admin(make_user: Callable[..., User]) -> User:
    return make_user(Role.ADMINISTRATOR)


@pytest.fixture
def browser(sign_in: Callable[[User], Browser], admin: User) -> Browser:
    return sign_in(admin)


@pytest.fixture
def parked(
    call: Callable[..., Any],
    company: Company,
    make_user: Callable[..., User],
    admin: User,
    superuser: psycopg.Connection[Any],
) -> str:
    """The fingerprint of two dead letters: events of tasks that are not there."""
    user = make_user()
    superuser.execute(
        "INSERT INTO outbox (type, schema_version, task_id, user_id, actor_id, payload)"
        " SELECT 'TaskCreated', 1, 900000 + n, %s, %s, '{\"note\": \"<b>hm</b>\"}'"
        " FROM generate_series(1, 2) AS n",
        [user.id, admin.id],
    )
    company.post()
    assert company.value("SELECT count(*) FROM dead_letters WHERE state = 'parked'") == 2
    return str(company.value("SELECT DISTINCT fingerprint FROM dead_letters"))


def kind(fingerprint: str) -> dict[str, str]:
    return {"consumer": "accounting", "fingerprint": fingerprint}


def test_events_are_paged_and_lead_to_their_transfers(
    browser: Browser, call: Callable[..., Any], company: Company, make_user: Callable[..., User]
) -> None:
    make_user()
    call(tasks.create_tasks, make_user(Role.MANAGER).actor, [Draft(f"T {n}") for n in range(60)])
    company.post()
    first = browser.get("/system/events").text
    assert first.count("/system/events/") >= 50
    more = first.split('hx-get="')[1].split('"')[0].replace("&amp;", "&")
    rest = browser.get(more, htmx=True).text
    assert rest.count('id="event-') == 10
    assert "<html" not in rest
    event_id = company.value("SELECT event_id FROM account_transfers LIMIT 1")
    page = browser.get(f"/system/events/{event_id}").text
    assert "TaskCreated" in page
    assert "posted" in page
    assert browser.get("/system/events/00000000-0000-0000-0000-000000000000").status_code == 404
    assert browser.get("/system/events?cursor=nonsense").status_code == 200


def test_events_are_found_by_task_id_and_type(
    browser: Browser, call: Callable[..., Any], company: Company, make_user: Callable[..., User]
) -> None:
    make_user()
    drafts = [Draft(f"T {n}") for n in range(60)]
    made = call(tasks.create_tasks, make_user(Role.MANAGER).actor, drafts)
    call(tasks.reassign_tasks, make_user(Role.MANAGER).actor)
    task = made[3].task_id

    def ids(url: str) -> list[str]:
        return re.findall(r'id="event-(\d+)"', browser.get(url).text)

    assert len(ids(f"/system/events?q={task}&type=")) == 2
    assert len(ids(f"/system/events?q={task}&type=TaskAssigned")) == 1
    event_id = company.value("SELECT event_id FROM outbox WHERE task_id = :id LIMIT 1", id=task)
    assert len(ids(f"/system/events?q={str(event_id).upper()}")) == 1
    assert ids("/system/events?type=BusinessDayClosed") == ids("/system/events?q=999999") == []
    assert "No events found" in browser.get("/system/events?q=999999").text
    page = browser.get("/system/events?type=TaskCreated").text
    assert 'value="TaskCreated" selected' in page
    assert page.count('id="event-') == 50
    more = page.split('hx-get="')[1].split('"')[0].replace("&amp;", "&")
    rest = browser.get(more, htmx=True).text
    assert (rest.count("TaskCreated</a>"), rest.count('id="event-')) == (10, 10)
    assert f'href="/tasks/{task}"' in browser.get(f"/system/events?q={task}").text


@pytest.mark.parametrize(
    ("query", "field"), [("q=gate", "q"), (f"q={'9' * 19}", "q"), ("type=Nothing", "type")]
)
def test_what_no_event_can_have_is_refused_beside_its_field(
    browser: Browser, query: str, field: str
) -> None:
    answer = browser.get(f"/system/events?{query}")
    assert answer.status_code == 422
    assert f'id="field-{field}-error"' in answer.text
    assert f'aria-describedby="field-{field}-error" aria-invalid="true"' in answer.text
    if field == "q":
        assert f'value="{query[2:]}"' in answer.text
    assert 'id="event-' not in answer.text


def test_dead_letters_are_grouped_with_payload_and_cause(browser: Browser, parked: str) -> None:
    page = browser.get("/system/dead-letters").text
    assert page.count("<article") == 1, "both are of one kind"
    assert "foreign key" in page
    assert "&lt;b&gt;" in page or "\\u003cb" in page
    assert "<b>hm" not in page


def test_a_retry_that_fails_says_so_and_one_that_works_posts(
    browser: Browser, parked: str, company: Company, superuser: psycopg.Connection[Any]
) -> None:
    assert browser.post("/system/dead-letters/retry", kind(parked)).status_code == 303
    assert company.value("SELECT min(attempts) FROM dead_letters") == 2
    superuser.execute(
        "INSERT INTO tasks (id, name, assigned_to, created_by) OVERRIDING SYSTEM VALUE"
        " SELECT task_id, 'found again', user_id, actor_id FROM outbox WHERE task_id > 900000"
    )
    assert browser.post("/system/dead-letters/retry", kind(parked)).status_code == 303
    states = company.rows("SELECT state::text, settled_by FROM dead_letters")
    assert {row.state for row in states} == {"retried"}
    assert company.value("SELECT count(*) FROM account_transfers") == 2
    audited = company.rows("SELECT details FROM audit_log WHERE action = 'retry_dead_letters'")
    assert [row.details["taken"] for row in audited] == [0, 2]


def test_a_discard_needs_a_reason_and_is_written_down(
    browser: Browser, parked: str, company: Company, admin: User
) -> None:
    assert browser.post("/system/dead-letters/discard", kind(parked)).status_code == 422
    assert company.value("SELECT count(*) FROM dead_letters WHERE state = 'parked'") == 2
    sent = {**kind(parked), "reason": "made by a test"}
    assert browser.post("/system/dead-letters/discard", sent).status_code == 303
    rows = company.rows("SELECT state::text, settled_by, reason FROM dead_letters")
    assert {(row.state, row.settled_by, row.reason) for row in rows} == {
        ("discarded", admin.id, "made by a test")
    }
    line = company.rows("SELECT actor_id, details FROM audit_log WHERE action LIKE 'discard%'")[0]
    assert line.actor_id == admin.id
    assert line.details["reason"] == "made by a test"
    assert browser.post("/system/dead-letters/discard", sent).status_code == 404, "only once"
    assert "made by a test" in browser.get("/system/dead-letters").text


def test_rules_are_written_with_the_apostrophes_of_other_texts(browser: Browser) -> None:
    page = browser.get("/system").text
    assert "each account\N{RIGHT SINGLE QUOTATION MARK}s day is the sum of its transfers" in page
    assert "&#39;s" not in page


def test_a_dead_guardian_is_seen(
    browser: Browser, call: Callable[..., Any], superuser: psycopg.Connection[Any]
) -> None:
    def guardian() -> str:
        return browser.get("/system").text.split("Guardian")[1].split("</tr>")[0]

    assert "broken" in guardian(), "no round yet"
    call(check_increment)
    assert "works" in guardian()
    superuser.execute("UPDATE guardian_rounds SET finished_at = now() - interval '1 minute'")
    assert "broken" in guardian()
