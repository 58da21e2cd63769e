"""`bin/ates stop`, `resume` and `check`: what they print, and how they end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
from flask import Flask

from app.guardian.checks import CHECKS
from app.guardian.commands import check_everything, check_next_whole
from app.kernel.policy import Role
from app.tasks import commands as tasks
from tests.company import Company
from tests.conftest import User


def test_stop_and_resume(app: Flask, company: Company) -> None:
    run = app.test_cli_runner().invoke
    assert run(args=["stop"]).exit_code == 2, "a reason is asked for"
    stopped = run(args=["stop", "--reason", "a drill"])
    assert stopped.exit_code == 0
    assert "no change can commit any more" in stopped.output
    no_reason = run(args=["resume", "--reason", " "])
    assert no_reason.exit_code == 1
    assert "reason: Give a reason" in no_reason.output
    assert run(args=["resume", "--reason", "over"]).exit_code == 0
    again = run(args=["resume", "--reason", "over"])
    assert again.exit_code == 1
    assert "not stopped" in again.output
    assert company.value("SELECT count(*) FROM alerts") == 2


PARK = """
WITH told AS (
  INSERT INTO outbox (type, schema_version) VALUES ('TaskPainted', 1) RETURNING *)
INSERT INTO dead_letters (consumer, event_id, xid, outbox_id, type, cause, fingerprint)
SELECT 'notifications', event_id, xid, id, type, 'made up', '' FROM told RETURNING id
"""


def test_dead_letters_of_any_consumer_are_retried_and_given_up(
    app: Flask, company: Company
) -> None:
    letter = str(company.value(PARK))
    run = app.test_cli_runner().invoke
    failed = run(args=["outbox", "retry", letter])
    assert failed.exit_code == 1
    assert "failed again" in failed.output
    no_reason = run(args=["outbox", "discard", letter, "--reason", ""])
    assert no_reason.exit_code == 1
    assert "reason: Give a reason" in no_reason.output
    assert run(args=["outbox", "discard", letter, "--reason", "made up"]).exit_code == 0
    assert run(args=["outbox", "retry", letter]).exit_code == 1
    decisions = company.rows("SELECT details->>'consumer' AS of FROM audit_log ORDER BY id")
    assert [decision.of for decision in decisions] == ["notifications"] * 2


def test_check_ends_with_1_when_something_is_found(
    app: Flask,
    superuser: psycopg.Connection[Any],
    call: Callable[..., Any],
    make_user: Callable[..., User],
    company: Company,
) -> None:
    make_user()
    call(tasks.create_task, make_user(Role.MANAGER).actor, name="one")
    company.post()
    sound = app.test_cli_runner().invoke(args=["check"])
    assert (sound.exit_code, sound.output) == (0, "All in order.\n")
    superuser.execute("UPDATE accounts SET balance = balance + 1 WHERE kind = 'employee'")
    wrong = app.test_cli_runner().invoke(args=["check"])
    assert wrong.exit_code == 1
    assert "MONEY each balance is the sum of its transfers: 1 rows" in wrong.output


def test_a_check_that_cannot_run_is_no_green_pass(
    app: Flask, superuser: psycopg.Connection[Any]
) -> None:
    app.test_cli_runner().invoke(args=["stop", "--reason", "a drill"])
    superuser.execute("REVOKE SELECT ON payouts FROM ates_app")
    answer = app.test_cli_runner().invoke(args=["resume", "--reason", "over"])
    assert answer.exit_code == 1
    assert "each payout" in answer.output


def test_the_nightly_pass_runs_each_check_once(call: Callable[..., Any], company: Company) -> None:
    run = [call(check_next_whole, "UTC") for _ in CHECKS]
    assert run == [check.name for check in CHECKS]
    assert call(check_next_whole, "UTC") is None, "not again the same night"
    company.session.commit()
    call(check_everything)
    assert company.value("SELECT rounds FROM guardian_rounds WHERE scope = 'whole'") == 2
