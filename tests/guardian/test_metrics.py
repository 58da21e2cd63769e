"""/metrics: what it says, that it says the same from each process, and who may read it."""

from __future__ import annotations

import multiprocessing
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from flask import Flask
from prometheus_client.parser import text_string_to_metric_families

from app import create_app
from app.guardian.commands import check_increment, stop
from app.kernel.policy import Role
from app.kernel.settings import Settings
from app.tasks import commands as tasks
from app.web import metrics
from app.web.database_metrics import MAILS
from tests.company import Company
from tests.conftest import Browser, User

PAGE = Path(__file__).parents[2] / "docs" / "guardian.md"
TOKEN = "scrape-" + "0123456789abcdef" * 2


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    return replace(settings, data_dir=tmp_path)


def read(browser: Browser, **headers: str) -> dict[tuple[str, ...], float]:
    """Each sample by its name and labels."""
    answer = browser.client.get("/metrics", headers=headers)
    assert answer.status_code == 200
    return {
        (
            sample.name,
            *(f"{name}={value}" for name, value in sorted(sample.labels.items())),
        ): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_the_metrics_follow_what_happens(
    anonymous: Browser,
    call: Callable[..., Any],
    company: Company,
    make_user: Callable[..., User],
    superuser: psycopg.Connection[Any],
) -> None:
    make_user()
    call(tasks.create_task, make_user(Role.MANAGER).actor, name="one")
    company.post()
    call(check_increment)
    superuser.execute("INSERT INTO outbox (type, schema_version) VALUES ('TaskCreated', 99)")
    superuser.execute("UPDATE outbox_cursors SET last_batch_ms = 40")
    found = read(anonymous)
    assert found["ates_events_waiting", "consumer=accounting"] == 1
    assert found["ates_last_batch_seconds", "consumer=accounting"] == 0.04
    assert found["ates_posting_delay_seconds_count",] == 1
    assert found["ates_posting_delay_seconds_bucket", "le=+Inf"] == 1
    assert found["ates_dead_letters", "consumer=accounting"] == 0
    assert found["ates_guardian_findings", "kind=money"] == 0
    assert found["ates_guardian_heartbeat_age_seconds",] < 60
    assert found["ates_mails", "state=queued"] == 0
    company.post()
    superuser.execute("UPDATE accounts SET balance = balance + 1 WHERE kind = 'employee'")
    call(check_increment)
    call(stop, None, reason="a drill", origin="command line")
    found = read(anonymous)
    assert found["ates_dead_letters", "consumer=accounting"] == 1
    assert found["ates_guardian_findings", "kind=money"] == 1
    assert found["ates_guardian_findings", "kind=other"] == 1
    assert found["ates_stopped",] == 1


MANY_MAILS = """
INSERT INTO emails (dedupe_key, message_id, user_id, kind, state, sent_at)
SELECT n, n, :user_id, 'payout', 'sent', now() FROM generate_series(1, 20000) AS n
"""
ONE_MAIL = """
INSERT INTO emails (dedupe_key, message_id, user_id, kind) VALUES ('one', 'one', :user_id, 'payout')
"""


def test_mails_are_not_counted_at_each_scrape(
    anonymous: Browser,
    company: Company,
    make_user: Callable[..., User],
    superuser: psycopg.Connection[Any],
) -> None:
    user_id = make_user().id
    company.session.execute(sa.text(MANY_MAILS), {"user_id": user_id})
    company.session.execute(sa.text(ONE_MAIL), {"user_id": user_id})
    superuser.execute("ANALYZE emails")
    plan = "\n".join(row[0] for row in superuser.execute(f"EXPLAIN {MAILS}").fetchall())
    assert "emails_unsent_idx" in plan
    assert "Seq Scan on emails" not in plan
    found = read(anonymous)
    assert (found["ates_mails", "state=queued"], found["ates_mails_sent_total",]) == (1, 0)
    assert ("ates_mails", "state=sent") not in found
    for state, leased, sent in (("sending", "now()", "NULL"), ("sent", "NULL", "now()")):
        superuser.execute(
            f"UPDATE emails SET state = '{state}', leased_until = {leased}, sent_at = {sent}"
            " WHERE dedupe_key = 'one'"
        )
    found = read(anonymous)
    assert (found["ates_mails", "state=queued"], found["ates_mails_sent_total",]) == (0, 1)


def test_each_metric_is_named_by_the_conventions_and_documented(
    counting: None, anonymous: Browser
) -> None:
    anonymous.get("/sign-in")
    families = list(text_string_to_metric_families(anonymous.get("/metrics").text))
    assert len(families) > 15
    for family in families:
        assert re.fullmatch(r"ates_[a-z_]+[a-z]", family.name)
        assert family.documentation
        names = {sample.name for sample in family.samples}
        assert family.type != "counter" or names <= {f"{family.name}_total"}
    said = {family.name + "_total" * (family.type == "counter") for family in families}
    assert set(re.findall(r"^\| `(ates_[a-z_]+)", PAGE.read_text(), re.MULTILINE)) == said


def test_a_demo_s_moved_clock_delays_no_posting(
    anonymous: Browser,
    call: Callable[..., Any],
    company: Company,
    make_user: Callable[..., User],
) -> None:
    make_user()
    manager = make_user(Role.MANAGER).actor
    call(tasks.create_task, manager, name="before the clock is moved")
    company.at(datetime.now(UTC) + timedelta(days=1))
    company.post()
    call(check_increment)
    assert read(anonymous)["ates_posting_delay_seconds_bucket", "le=60.0"] == 1
    call(tasks.create_task, manager, name="posted before the clock is moved")
    company.post()
    company.at(datetime.now(UTC) + timedelta(days=2))
    call(check_increment)
    assert read(anonymous)["ates_posting_delay_seconds_count",] == 1  # the other: nobody knows


@pytest.fixture
def counting(app: Flask) -> Iterator[None]:
    app.config[metrics.COUNT] = True
    yield
    metrics.close(app)


def test_requests_are_counted_by_endpoint_and_status(counting: None, anonymous: Browser) -> None:
    anonymous.get("/sign-in")
    anonymous.get("/system")
    found = read(anonymous)
    assert found["ates_requests_total", "endpoint=auth.sign_in", "method=GET", "status=200"] == 1
    assert found["ates_requests_total", "endpoint=guardian.health", "method=GET", "status=303"] == 1
    assert found["ates_request_seconds_count", "endpoint=auth.sign_in"] == 1


def _serve(settings: Settings) -> None:
    app = create_app(settings)
    app.config[metrics.COUNT] = True
    app.test_client().get("/healthz")
    metrics.close(app)


def test_each_process_adds_up_all_of_them(
    counting: None, anonymous: Browser, settings: Settings
) -> None:
    """A process of the same parent as this one's children would have; here: this one's parent."""
    anonymous.get("/healthz")
    key = ("ates_requests_total", "endpoint=web.healthz", "method=GET", "status=200")
    before = read(anonymous)[key]
    folder = next((settings.data_dir / "metrics").iterdir())
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(settings,))
    process.start()
    process.join(30)
    assert process.exitcode == 0
    children = [path for path in (settings.data_dir / "metrics").iterdir() if path != folder]
    for path in children[0].iterdir():
        path.rename(folder / path.name)
    assert read(anonymous)[key] == before + 1


def test_only_this_machine_reads_them(app: Flask, anonymous: Browser) -> None:
    client = app.test_client()
    assert client.get("/metrics", environ_base={"REMOTE_ADDR": "192.0.2.1"}).status_code == 403
    forwarded = client.get("/metrics", headers={"X-Forwarded-For": "192.0.2.1"})
    assert forwarded.status_code == 403
    assert client.get("/metrics").status_code == 200


def test_with_a_token_only_its_holder_reads_them(settings: Settings) -> None:
    app = create_app(replace(settings, metrics_token=TOKEN))
    client = app.test_client()
    assert client.get("/metrics").status_code == 403
    assert client.get("/metrics", headers={"Authorization": "Bearer wrong"}).status_code == 403
    elsewhere = {"REMOTE_ADDR": "192.0.2.1"}
    own = {"Authorization": f"Bearer {TOKEN}"}
    assert client.get("/metrics", headers=own, environ_base=elsewhere).status_code == 200
    _dispose(app)


def test_a_lost_database_is_a_metric(settings: Settings) -> None:
    app = create_app(replace(settings, database_url="postgresql://nobody@127.0.0.1:1/none"))
    answer = app.test_client().get("/metrics")
    assert answer.status_code == 200
    assert "ates_database_up 0.0" in answer.text
    assert "ates_requests" not in answer.text or "ates_events_waiting" not in answer.text


def _dispose(app: Flask) -> None:
    from app.kernel.db import db

    with app.app_context():
        db.session.remove()
        for engine in db.engines.values():
            engine.dispose()
