"""Alerts reach people by mail and webhook during a stop, and are told again when one failed."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import psycopg
import pytest

from app.guardian import alerts
from app.guardian.commands import stop
from app.guardian.jobs import guard
from app.kernel.policy import Role
from app.kernel.settings import Settings
from app.tasks import commands as tasks
from tests.company import Company
from tests.conftest import User


class Hook(HTTPServer):
    """A webhook on this machine: what it was told, and what it answers."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.told: list[dict[str, Any]] = []
        self.status = 204


class _Handler(BaseHTTPRequestHandler):
    server: Hook

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.told.append(json.loads(body))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@pytest.fixture
def hook() -> Iterator[Hook]:
    with Hook() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def settings(settings: Settings, hook: Hook, tmp_path: Path) -> Settings:
    url = f"http://127.0.0.1:{hook.server_port}/hook"
    return replace(settings, alert_webhook_url=url, data_dir=tmp_path)


def test_a_stop_is_told_by_mail_and_webhook(
    call: Callable[..., Any], make_user: Callable[..., User], hook: Hook, settings: Settings
) -> None:
    admins = [make_user(Role.ADMINISTRATOR) for _ in range(2)]
    incident = call(stop, None, reason="a drill", origin="command line")
    assert [said["kind"] for said in hook.told] == ["stop"]
    assert incident in hook.told[0]["subject"]
    mails = [path.read_text() for path in (settings.data_dir / "mail").glob("*.eml")]
    assert len(mails) == len(admins)
    assert all(incident in mail and "a drill" in mail for mail in mails)


def test_what_a_channel_did_not_take_is_told_again(
    call: Callable[..., Any], make_user: Callable[..., User], hook: Hook, company: Company
) -> None:
    make_user(Role.ADMINISTRATOR)
    hook.status = 500
    call(stop, None, reason="a drill", origin="command line")
    row = company.rows("SELECT mailed_at, posted_at, last_error FROM alerts")[0]
    assert row.mailed_at
    assert row.posted_at is None
    assert "500" in row.last_error
    hook.status = 204
    company.rows("UPDATE alerts SET due_at = now() RETURNING id")
    assert call(alerts.send_due) == 1
    assert company.value("SELECT posted_at IS NOT NULL FROM alerts")
    assert call(alerts.send_due) == 0, "nobody is told twice of what they took"


def test_the_guardian_stops_on_money_and_says_so_once(
    call: Callable[..., Any],
    make_user: Callable[..., User],
    hook: Hook,
    company: Company,
    superuser: psycopg.Connection[Any],
) -> None:
    admin = make_user(Role.ADMINISTRATOR)
    make_user()
    call(tasks.create_task, admin.actor, name="before")
    company.post()
    call(guard)
    assert company.value("SELECT status FROM system_state") == "running", "control: all in order"
    superuser.execute("UPDATE accounts SET balance = balance + 1 WHERE kind = 'employee'")
    call(guard)
    call(guard)
    state = company.rows("SELECT status, origin, reason FROM system_state")[0]
    assert (state.status, state.origin) == ("stopped", "guardian")
    assert "each balance is the sum of its transfers" in state.reason
    assert sorted(said["kind"] for said in hook.told) == ["finding", "stop"]


def test_a_dead_letter_is_told_of_and_stops_nothing(
    call: Callable[..., Any],
    make_user: Callable[..., User],
    hook: Hook,
    company: Company,
    superuser: psycopg.Connection[Any],
) -> None:
    make_user(Role.ADMINISTRATOR)
    superuser.execute("INSERT INTO outbox (type, schema_version) VALUES ('NobodyKnows', 9)")
    company.post()
    call(guard)
    assert company.value("SELECT status FROM system_state") == "running"
    assert [said["kind"] for said in hook.told] == ["finding"]
    assert "no event is parked" in hook.told[0]["subject"]
