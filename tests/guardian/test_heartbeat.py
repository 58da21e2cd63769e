"""A guardian that makes no rounds is noticed by others, told of once, and over when it goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from app.guardian import heartbeat
from app.guardian.jobs import guard
from app.kernel.policy import Role
from app.kernel.settings import Settings
from tests.company import Company
from tests.conftest import Browser, User

LONG_AGO = "UPDATE guardian_rounds SET finished_at = now() - interval '31 seconds'"
OPEN = "SELECT check_name FROM guardian_findings WHERE resolved_at IS NULL"


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    return replace(settings, data_dir=tmp_path)


def look(call: Callable[..., Any], watches: list[heartbeat.Watch], times: int) -> int:
    """How many looks told people, when each of `watches` looks so often."""
    return sum(call(watch.look) for _ in range(times) for watch in watches)


def test_a_dead_guardian_is_told_of_once_and_shown(
    call: Callable[..., Any],
    company: Company,
    make_user: Callable[..., User],
    sign_in: Callable[[User], Browser],
    superuser: psycopg.Connection[Any],
    tmp_path: Path,
) -> None:
    browser = sign_in(make_user(Role.ADMINISTRATOR))
    call(guard)
    superuser.execute(LONG_AGO)
    watches = [heartbeat.Watch(), heartbeat.Watch()]
    assert look(call, watches, heartbeat.LOOKS + 2) == 1
    mails = [path.read_text() for path in (tmp_path / "mail").glob("*.eml")]
    assert len(mails) == 1
    assert "the guardian makes its rounds" in mails[0]
    ready = browser.get("/readyz")
    assert (ready.status_code, ready.json["reasons"]) == (200, []), "it serves all the same"
    assert "made no round for 3" in ready.json["warnings"][0]
    page = browser.get("/system").text
    assert "Not in order: the guardian makes its rounds" in page
    assert "Is a worker running, and the scheduler" in page
    call(guard)
    assert company.rows(OPEN) == []
    assert browser.get("/readyz").json["warnings"] == []
    assert "Not in order" not in browser.get("/system").text


def test_a_guardian_that_never_made_a_round_is_dead_too(
    call: Callable[..., Any], company: Company, anonymous: Browser
) -> None:
    assert anonymous.get("/readyz").json["warnings"] == ["the guardian has made no round yet"]
    assert look(call, [heartbeat.Watch()], heartbeat.LOOKS) == 1
    assert company.value(OPEN) == "the guardian makes its rounds"


def test_a_system_that_has_just_been_started_is_no_alarm(
    call: Callable[..., Any], company: Company, superuser: psycopg.Connection[Any]
) -> None:
    call(guard)
    superuser.execute(LONG_AGO)
    watches = [heartbeat.Watch()]
    assert look(call, watches, heartbeat.LOOKS - 1) == 0
    call(guard)
    superuser.execute(LONG_AGO)
    assert look(call, watches, heartbeat.LOOKS - 1) == 0, "there was a round in between"
    assert company.rows(OPEN) == []


def test_one_that_dies_during_an_emergency_stop_is_told_of(
    call: Callable[..., Any], company: Company, superuser: psycopg.Connection[Any]
) -> None:
    call(guard)
    superuser.execute("UPDATE system_state SET status = 'stopped', incident = 'INC-1',"
                      " reason = 'a drill', origin = 'page'")  # fmt: skip
    superuser.execute(LONG_AGO)
    assert look(call, [heartbeat.Watch()], heartbeat.LOOKS) == 1
