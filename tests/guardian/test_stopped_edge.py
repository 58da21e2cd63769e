"""What people and programs see of an emergency stop: pages, fragments, the REST API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from flask import Flask

from app.accounting.commands import ACCOUNTING
from app.guardian.commands import resume, stop
from app.kernel.errors import BadInput, Conflict
from app.kernel.policy import Role
from app.outbox import jobs, relay
from app.tasks import commands as tasks
from tests.company import Company
from tests.conftest import Api, Browser, User


@pytest.fixture
def admin(make_user: Callable[..., User]) -> User:
    return make_user(Role.ADMINISTRATOR)


def test_the_page_stops_with_a_reason_and_the_password(
    sign_in: Callable[[User], Browser], admin: User, company: Company
) -> None:
    browser = sign_in(admin)
    assert browser.get("/system").status_code == 200
    wrong = browser.post("/system/stop", {"reason": "a drill", "own_password": "not mine"})
    assert wrong.status_code == 422
    empty = browser.post("/system/stop", {"reason": " ", "own_password": admin.password})
    assert empty.status_code == 422
    assert company.value("SELECT status FROM system_state") == "running"
    done = browser.post("/system/stop", {"reason": "a drill", "own_password": admin.password})
    assert done.status_code == 303
    shown = browser.get("/system").text
    assert "INC-" in shown
    assert "a drill" in shown
    assert shown.count("Changes are stopped.") == 1, "the banner alone"
    assert company.value("SELECT status FROM system_state") == "stopped"


def test_the_page_resumes_after_a_green_pass(
    sign_in: Callable[[User], Browser], admin: User, company: Company, call: Callable[..., Any]
) -> None:
    call(stop, admin.actor, reason="a drill", origin="page")
    browser = sign_in(admin)
    refused = browser.post("/system/resume", {"reason": "", "own_password": admin.password})
    assert refused.status_code == 422
    done = browser.post("/system/resume", {"reason": "it is over", "own_password": admin.password})
    assert done.status_code == 303
    assert company.value("SELECT status FROM system_state") == "running"
    lines = company.rows(
        "SELECT action FROM audit_log WHERE action IN ('stop', 'resume') ORDER BY id"
    )
    assert [line.action for line in lines] == ["stop", "resume"]


@pytest.mark.parametrize(
    "role", [r for r in Role if r not in {Role.ADMINISTRATOR, Role.INTERNALSERVICE}]
)
def test_others_do_not_reach_the_pages(
    sign_in: Callable[[User], Browser], make_user: Callable[..., User], role: Role
) -> None:
    browser = sign_in(make_user(role))
    for url in ("/system", "/system/events", "/system/dead-letters"):
        assert browser.get(url).status_code == 403
    for url in ("/system/stop", "/system/resume", "/system/dead-letters/retry"):
        assert browser.post(url, {"reason": "no"}).status_code == 403


def test_changes_answer_503_and_reading_goes_on(
    app: Flask,
    sign_in: Callable[[User], Browser],
    make_user: Callable[..., User],
    api: Callable[..., Api],
    call: Callable[..., Any],
    anonymous: Browser,
) -> None:
    worker = make_user()
    browser, program = sign_in(worker), api(worker)
    incident = call(stop, None, reason="a drill", origin="command line")
    app.extensions["ates-system-state"] = None

    answer = program.post("/tasks", {"name": "x", "description": ""}, key="one")
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "30"
    assert answer.json["incident"] == incident
    for htmx in (False, True):
        page = browser.post("/tasks", {"name": "x"}, htmx=htmx)
        assert page.status_code == 503
        assert page.headers["Retry-After"] == "30"
        assert incident in page.text

    assert program.get("/me/balance").status_code == 200
    assert browser.get("/account").status_code == 200
    assert incident in browser.get("/tasks/mine").text, "the banner"
    assert incident in anonymous.get("/sign-in").text
    assert browser.get("/healthz").status_code == browser.get("/readyz").status_code == 200
    form = {"login": worker.login, "password": worker.password}
    assert anonymous.post("/sign-in", form).status_code == 303


def test_a_refused_change_says_why_in_sentences_of_the_readers_language(
    app: Flask,
    sign_in: Callable[[User], Browser],
    make_user: Callable[..., User],
    call: Callable[..., Any],
) -> None:
    browser = sign_in(make_user())
    incident = call(stop, None, reason="drill", origin="command line")
    app.extensions["ates-system-state"] = None
    english = browser.post("/tasks", {"name": "x"}).text
    assert f"Changes are stopped, incident {incident}: drill.</strong>" in english
    browser.client.set_cookie("lang", "ru")
    russian = browser.post("/tasks", {"name": "x"}).text
    assert f"Изменения остановлены, инцидент {incident}: drill.</strong>" in russian


def test_the_relay_waits_and_parks_nothing(
    call: Callable[..., Any], company: Company, make_user: Callable[..., User], admin: User
) -> None:
    make_user()
    call(tasks.create_task, admin.actor, name="before")
    call(stop, None, reason="a drill", origin="command line")
    assert call(jobs.relay) == 0
    assert company.value("SELECT count(*) FROM account_transfers") == 0
    assert company.value("SELECT count(*) FROM dead_letters") == 0
    call(resume, admin.actor, reason="it is over")
    assert call(relay.drain, ACCOUNTING).events == 1
    assert company.value("SELECT count(*) FROM account_transfers") == 1


def test_a_finding_keeps_changes_stopped_until_it_is_accepted(
    call: Callable[..., Any],
    company: Company,
    make_user: Callable[..., User],
    admin: User,
    superuser: psycopg.Connection[Any],
) -> None:
    make_user()
    call(tasks.create_task, admin.actor, name="before")
    company.post()
    superuser.execute("UPDATE accounts SET balance = balance + 1 WHERE kind = 'employee'")
    call(stop, None, reason="a drill", origin="command line")
    with pytest.raises(Conflict, match="each balance is the sum"):
        call(resume, admin.actor, reason="never mind")
    with pytest.raises(BadInput):
        call(resume, admin.actor, reason="")
    assert company.value("SELECT status FROM system_state") == "stopped"
    call(resume, None, reason="known, will be corrected", despite_findings=True)
    assert company.value("SELECT status FROM system_state") == "running"


def test_an_unreadable_state_shows_the_banner(
    app: Flask,
    sign_in: Callable[[User], Browser],
    make_user: Callable[..., User],
    superuser: psycopg.Connection[Any],
) -> None:
    browser = sign_in(make_user())
    assert 'class="banner"' not in browser.get("/tasks/mine").text, "control"
    superuser.execute("REVOKE SELECT ON system_state FROM ates_app")
    app.extensions["ates-system-state"] = None
    page = browser.get("/tasks/mine")
    assert page.status_code == 200
    assert 'class="banner"' in page.text
