"""The doctor plays the scenarios without a trace, and says what does not work."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from flask import Flask

from app.doctor import examination, scenario
from app.guardian.commands import stop
from app.kernel.policy import Role
from app.tasks import commands as tasks
from embedded.valkey import Server
from tests.company import Company, company
from tests.conftest import User
from worker import Worker

__all__ = ["company"]

TABLES = [*scenario.TABLES, "sessions", "api_tokens", "alerts", "guardian_findings", "exports"]


@pytest.fixture
def redis_url(valkey: Server) -> str:
    # A part of the server that no other test's worker serves.
    return f"{valkey.url}?db=7"


@pytest.fixture
def may_play(cluster: Any, database: str) -> Iterator[psycopg.Connection[Any]]:
    """A copied database has lost what the migration granted on it."""
    with psycopg.connect(cluster.superuser_url(database), autocommit=True) as superuser:
        superuser.execute(f"GRANT TEMPORARY ON DATABASE {database} TO ates_app")
        yield superuser


@pytest.fixture
def company_at_work(
    call: Callable[..., Any], company: Company, make_user: Callable[..., User]
) -> Company:
    make_user()
    call(tasks.create_task, make_user(Role.MANAGER).actor, name="somebody's own")
    company.post()
    return company


def counted(company: Company) -> dict[str, Any]:
    rows = {table: company.value(f"SELECT count(*) FROM {table}") for table in TABLES}
    return {**rows, "balances": company.balances()}


def test_the_scenarios_go_as_planned_and_leave_nothing(
    call: Callable[..., Any], may_play: object, company_at_work: Company
) -> None:
    before = counted(company_at_work)
    played = call(scenario.play)
    assert (played.tasks, played.events) == (6, 13)
    assert played.paid >= 1
    assert counted(company_at_work) == before
    assert call(scenario.play), "it can be played again"


@pytest.mark.parametrize(
    ("broken", "by"),
    [
        ("complete_task", lambda *_: None),
        ("reassign_tasks", lambda *_: tasks.Reassigned(1, 1)),
        ("create_tasks", lambda *_: []),
    ],
)
def test_control_a_broken_command_is_noticed(
    call: Callable[..., Any],
    may_play: object,
    monkeypatch: pytest.MonkeyPatch,
    broken: str,
    by: Callable[..., Any],
) -> None:
    monkeypatch.setattr(tasks, broken, by)
    with pytest.raises(scenario.NotAsPlanned):
        call(scenario.play)


def test_control_a_wrong_posting_is_noticed(
    call: Callable[..., Any], may_play: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    statement = str(scenario.accounting.posting.POST)
    wrong = statement.replace("THEN -p.assign_price", "THEN 1 - p.assign_price")
    assert wrong != statement
    monkeypatch.setattr(scenario.accounting.posting, "POST", scenario.sql(wrong))
    with pytest.raises(scenario.NotAsPlanned, match="not so: each balance"):
        call(scenario.play)


def test_without_the_right_to_play_it_says_so(
    app: Flask, may_play: psycopg.Connection[Any]
) -> None:
    may_play.execute(f"REVOKE TEMPORARY ON DATABASE {may_play.info.dbname} FROM ates_app, PUBLIC")
    answer = app.test_cli_runner().invoke(args=["doctor", "--before-deploy"])
    assert answer.exit_code == 1
    assert "GRANT TEMPORARY" in answer.output


def test_a_copy_is_examined_before_a_deploy(
    app: Flask, may_play: object, company_at_work: Company
) -> None:
    answer = app.test_cli_runner().invoke(args=["doctor", "--before-deploy"])
    assert answer.exit_code == 0, answer.output
    assert "transfers are what the log makes" in answer.output


def test_what_does_not_run_is_said(
    app: Flask, may_play: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examination, "WORKER_TIMEOUT_S", 0.2)
    answer = app.test_cli_runner().invoke(args=["doctor", "--url", "http://127.0.0.1:1"])
    assert answer.exit_code == 1
    lines = {line[5:34].strip(): line[:5].strip() for line in answer.output.splitlines()}
    assert lines["web"] == lines["API"] == lines["worker, relay queue"] == "FAIL"
    assert lines["workers"] == lines["guardian"] == "FAIL"
    assert lines["scenarios in a worker"] == "FAIL"
    assert "not asked" in answer.output, "whoever is silent is not waited for again"
    assert lines["scenarios here"] == lines["mail"] == lines["redis"] == "ok"


def test_a_worker_plays_too(app: Flask, may_play: object, redis_url: str) -> None:
    from redis import Redis
    from rq import Queue
    from rq.serializers import JSONSerializer

    connection = Redis.from_url(redis_url)
    worker = Worker(
        [Queue("default", connection=connection, serializer=JSONSerializer)],
        connection=connection, serializer=JSONSerializer,
    )  # fmt: skip
    worker.app = app
    said: list[str] = []
    served = examination.Line("worker, default queue", is_well=True, note="")

    def ask() -> None:
        with app.app_context():
            said.append(examination._played_by_worker(served))

    asking = threading.Thread(target=ask)
    asking.start()
    while asking.is_alive():
        worker.work(burst=True, logging_level="ERROR")
        asking.join(0.05)
    connection.close()
    assert "all as planned" in said[0]


def test_a_stop_is_said(app: Flask, may_play: object, call: Callable[..., Any]) -> None:
    incident = call(stop, None, reason="a drill", origin="command line")
    answer = app.test_cli_runner().invoke(args=["doctor", "--before-deploy"])
    assert answer.exit_code == 1
    assert incident in answer.output
