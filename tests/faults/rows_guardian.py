"""Row 30: the guardian is killed; others notice, show it and tell people."""

from __future__ import annotations

import re
import time
from random import Random
from typing import Any

import requests

from app.guardian.checks import HEARTBEAT
from app.kernel.system import HEARTBEAT_S
from tests.faults.storm import Stage, storm
from tests.faults.system import SCHEDULER_LOCK, System
from tests.faults.verdict import Outcome
from tests.flows.running import ADMIN

# The short form does not wait until a round is old: it makes it so, in the database.
AGE = "UPDATE guardian_rounds SET finished_at = finished_at - make_interval(secs => %s)"
HAS_ROUND = """
SELECT finished_at > now() - interval '20 seconds' FROM guardian_rounds WHERE scope = 'increment'
"""
TOLD = "SELECT count(*) FROM alerts WHERE mailed_at IS NOT NULL AND id > %s AND subject LIKE %s"
NEWEST_ALERT = "SELECT coalesce(max(id), 0) FROM alerts"
CSRF = re.compile(r'name="csrf_token"[^>]*value="([^"]+)"')
METRIC = re.compile(r"^ates_guardian_heartbeat_age_seconds (\S+)$", re.MULTILINE)
# Six looks of 5 s each, and time for a busy machine.
NOTICED_S, NOTICED_OFTEN_S, CONTROL_S = 90.0, 30.0, 3.0
ROUND_S = 120.0


def guardian_killed(stage: Stage, dice: Random, *, sabotaged: bool) -> Outcome:
    """The worker, which makes the rounds, is killed and kept down: that is seen and told."""
    system = stage.system
    often = ["looks_often"] if stage.is_short else []
    if sabotaged:
        system.become("heartbeat_is_not_looked_for", programs=["gunicorn", "scheduler.py"])
    else:  # in the short form it is the scheduler that notices first
        system.become(*often, programs=["scheduler.py"])
    wrong: list[str] = []

    def kill(system: System, _dice: Random) -> int:
        system.redis().delete(SCHEDULER_LOCK)
        system.wait_for(lambda: bool(system.one(HAS_ROUND)), "a round is made", ROUND_S)
        since = system.one(NEWEST_ALERT)
        system.hold("worker")
        try:
            if stage.is_short:
                with system.connect() as connection:
                    connection.execute(AGE, [HEARTBEAT_S])
            noticed_s = NOTICED_OFTEN_S if stage.is_short else NOTICED_S
            _notice(system, since, CONTROL_S if sabotaged else noticed_s, wrong)
        finally:
            system.release("worker")
        system.wait_for(lambda: _warnings(system) == [], "the rounds go on", ROUND_S)
        return 1

    outcome = storm(Stage(system, 0.0, 1), dice, kill)
    outcome.wrong += wrong
    return outcome


def _notice(system: System, since: int, timeout_s: float, wrong: list[str]) -> None:
    """Whatever should show the missing rounds, does; what does not is `wrong`."""
    give_up_at = time.monotonic() + timeout_s
    for what, is_so in {
        "/readyz warns": lambda: _warnings(system) != [],
        "people are told by mail": lambda: _told(system, since) == 1,
        "Health shows it": lambda: HEARTBEAT.means in _health_page(system),
        "/metrics shows it": lambda: _metric(system) >= HEARTBEAT_S,
    }.items():
        try:
            system.wait_for(is_so, what, max(0.1, give_up_at - time.monotonic()))
        except AssertionError as late:
            wrong.append(str(late))
    if _told(system, since) > 1:
        wrong.append("people were told more than once")


def _warnings(system: System) -> list[str]:
    answer: dict[str, Any] = requests.get(f"{system.address}/readyz", timeout=10).json()
    return list(answer["warnings"])


def _told(system: System, since: int) -> int:
    return int(system.one(TOLD, since, f"%{HEARTBEAT.name}%"))


def _health_page(system: System) -> str:
    """The page as the administrator sees it, in a browser's session."""
    with requests.Session() as browser:
        token = CSRF.search(browser.get(f"{system.address}/sign-in", timeout=10).text)
        assert token
        form = {
            "csrf_token": token.group(1),
            "login": ADMIN["ATES_ADMIN_LOGIN"],
            "password": ADMIN["ATES_ADMIN_PASSWORD"],
        }
        browser.post(f"{system.address}/sign-in", form, timeout=10)
        return browser.get(f"{system.address}/system", timeout=10).text


def _metric(system: System) -> float:
    found = METRIC.search(requests.get(f"{system.address}/metrics", timeout=10).text)
    return float(found.group(1)) if found else 0.0
