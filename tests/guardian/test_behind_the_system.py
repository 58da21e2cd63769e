"""What was written behind the system's back is found, named, and contained, from end to end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from flask import Flask

from app.guardian.checks import CHECKS
from app.guardian.jobs import guard, guard_whole
from app.kernel.policy import Role
from app.kernel.settings import Settings
from tests.company import Company
from tests.conftest import Api, User
from tests.guardian.played import play

DEEDS = {
    "an amount is changed": """
        UPDATE account_transfers SET amount = amount + 1 WHERE id =
          (SELECT max(id) FROM account_transfers WHERE kind = 'assign_fee')""",
    "a transfer is removed": """
        DELETE FROM account_transfers WHERE id =
          (SELECT max(id) FROM account_transfers WHERE kind = 'assign_fee')""",
    "what was sealed is dated back": """
        UPDATE account_transfers SET recorded_at = recorded_at - interval '1 second'
        WHERE id = (SELECT min(id) FROM account_transfers)""",
    "a cursor lies beyond the log": "UPDATE outbox_cursors SET xid = '9000000000000'",
    "the log is of an older backup than the board": """
        DELETE FROM outbox WHERE event_id IN (SELECT event_id FROM outbox
          WHERE type = 'TaskCreated' ORDER BY outbox.xid DESC, id DESC LIMIT 2)""",
    "events that were read are gone": """
        DELETE FROM outbox WHERE event_id IN (SELECT event_id FROM outbox
          WHERE type = 'TaskCreated' ORDER BY outbox.xid, id LIMIT 2)""",
}
# Which check names each, and which are seen by the night's round alone.
NAMED = {
    "an amount is changed": "each fee and reward is its assignee's, at the task's price",
    "a transfer is removed": "each balance is the sum of its transfers",
    "what was sealed is dated back": "the sealed ledger is as it was sealed",
    "a cursor lies beyond the log": "the log and its cursors are of this database",
    "the log is of an older backup than the board": (
        "the log and its cursors are of this database"
    ),
    "events that were read are gone": "each log entry's event is in the log of events",
}
AT_NIGHT = {
    "an amount is changed",
    "what was sealed is dated back",
    "events that were read are gone",
}


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    return replace(settings, data_dir=tmp_path)


@pytest.mark.parametrize("deed", DEEDS)
def test_it_stops_all_changes_and_says_why(
    deed: str,
    app: Flask,
    api: Callable[[User], Api],
    call: Callable[..., Any],
    company: Company,
    make_user: Callable[..., User],
    superuser: psycopg.Connection[Any],
    tmp_path: Path,
) -> None:
    make_user(Role.ADMINISTRATOR)
    play(app, make_user)
    call(guard)
    assert company.value("SELECT status FROM system_state") == "running"
    check = NAMED[deed]
    superuser.execute("SET session_replication_role = replica")
    assert superuser.execute(DEEDS[deed]).rowcount > 0
    call(guard)
    if deed in AT_NIGHT:
        assert company.value("SELECT status FROM system_state") == "running"
        for _ in CHECKS:
            call(guard_whole)
    stopped = company.rows("SELECT status, origin, reason, incident FROM system_state")[0]
    assert (stopped.status, stopped.origin) == ("stopped", "guardian")
    assert check in stopped.reason
    found = company.rows("SELECT evidence FROM guardian_findings WHERE check_name = :c", c=check)
    assert found[0].evidence, "the rows are named"
    mails = "".join(path.read_text() for path in (tmp_path / "mail").glob("*.eml"))
    assert stopped.incident in mails
    refused = api(_manager(company)).post("/tasks", {"name": "one more"})
    assert refused.status_code == 503
    assert refused.json["incident"] == stopped.incident
    assert refused.headers["Retry-After"]


def _manager(company: Company) -> User:
    """The one who played: nobody can be made during a stop."""
    row = company.rows("SELECT id, login FROM users WHERE role = 'manager' LIMIT 1")[0]
    return User(row.id, row.login, Role.MANAGER)
