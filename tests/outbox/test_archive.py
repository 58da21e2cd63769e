"""Archiving: a partition that everybody has read becomes a file, whole, or stays in the log."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from flask import Flask

from app import schedules
from app.guardian.commands import check_everything, check_increment
from app.guardian.replay import rebuild
from app.kernel.errors import Unavailable
from app.kernel.policy import Role
from app.kernel.settings import Settings
from app.outbox import archive, archive_files, partitions
from app.outbox.archive import ArchiveRefused
from app.outbox.archive_files import ArchiveDamaged, Manifest
from app.tasks import commands as tasks
from app.tasks.models import Draft
from embedded.postgres import Cluster
from tests.company import Company
from tests.conftest import Browser, User
from tests.guardian.played import play
from tests.outbox.log import run_ahead

ROOT = Path(__file__).parents[2]
READERS = ["accounting"]
LOG = "SELECT string_agg(o::text, E'\\n' ORDER BY o.xid, o.id) FROM outbox o"
HAVE_ALL_READ = """
INSERT INTO outbox_cursors (consumer, xid, id)
SELECT 'notifications', xid, id FROM outbox_cursors WHERE consumer = 'accounting'
"""
# A process whose children archive, and say that they are there instead of going on.
STOPS = """
import os, sys, time
from app.kernel.settings import Settings
from app.outbox import archive

def archive_until(function, moment):
    working = getattr(archive, function)
    def stopping(*arguments, **options):
        done = working(*arguments, **options) if moment == "after" else None
        print(os.getpid(), flush=True)
        time.sleep(60)
        return done
    setattr(archive, function, stopping)
    archive.archive_due(Settings.from_env(os.environ), ["accounting"], tell=print)

for line in sys.stdin:
    if (child := os.fork()) == 0:
        archive_until(*line.split())
        os._exit(0)
    os.waitpid(child, 0)
"""


@pytest.fixture
def superuser(cluster: Cluster, database: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(cluster.superuser_url(database), autocommit=True) as connection:
        yield connection


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    """With an archive of the test's own."""
    return replace(settings, data_dir=tmp_path)


@pytest.fixture
def old(
    app: Flask,
    company: Company,
    superuser: psycopg.Connection[Any],
    make_user: Callable[..., User],
    call: Callable[..., Any],
) -> Company:
    """A company that worked 500 days ago, in a partition that is used up, and works today."""
    play(app, make_user)
    company.at(datetime.now(UTC) + timedelta(days=500))
    run_ahead(superuser, 11_000_000)
    call(partitions.make_ahead)
    call(tasks.create_tasks, make_user(Role.MANAGER).actor, [Draft("A task of today")])
    company.post()
    call(check_increment)
    return company


def archive_due(settings: Settings, **changes: Any) -> list[Manifest]:
    made: list[Manifest] = []
    archive.archive_due(replace(settings, **changes), READERS, tell=made.append)
    return made


def partitions_of(company: Company, settings: Settings) -> list[partitions.Partition]:
    keep_days = settings.outbox_keep_days
    return partitions.partitions(company.session, consumers=READERS, keep_days=keep_days)


def test_a_partition_becomes_a_file_and_nobody_misses_it(
    old: Company,
    call: Callable[..., Any],
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(archive_files, "STEP_BYTES", 500)
    monkeypatch.setattr(archive_files, "READ_BYTES", 100)
    before = old.rows("SELECT * FROM outbox WHERE xid < '10000000' ORDER BY outbox.xid, id")
    [made] = archive_due(settings)
    assert old.value("SELECT count(*) FROM outbox") == 1
    assert old.value("SELECT to_regclass('outbox_0') IS NULL")
    path = settings.data_dir / "archive" / made.file
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    assert lines[0] == ",".join(archive_files.COLUMNS)
    assert [line.split(",")[2] for line in lines[1:]] == [str(row.event_id) for row in before]
    assert json.loads(Path(f"{path}.json").read_text())["events"] == made.events == len(before)
    assert sorted(each.name for each in path.parent.iterdir()) == [made.file, f"{made.file}.json"]
    assert archive_due(settings) == []

    assert call(check_everything) == []
    assert call(check_increment) == []
    assert old.broken_rules() == {}
    compared = {part.part: part for part in rebuild(settings)}
    assert {name: part.first for name, part in compared.items() if part.differ} == {}
    assert compared["archived events"].rows == len(before)
    assert compared["transfers"].rows == old.value("SELECT count(*) FROM account_transfers")


def test_an_event_lost_from_the_log_is_missed_though_others_are_archived(
    old: Company,
    call: Callable[..., Any],
    settings: Settings,
    superuser: psycopg.Connection[Any],
) -> None:
    archive_due(settings)
    superuser.execute("SET session_replication_role = replica")
    superuser.execute("DELETE FROM outbox WHERE type = 'TaskCreated'")
    # Its log entry as old as what is archived: told by the number of them.
    superuser.execute("UPDATE logs SET timestamp = (SELECT min(timestamp) FROM logs)")
    found = {finding.check_name for finding in call(check_everything)}
    assert "each log entry's event is in the log of events" in found


# What holds a partition in the log, how it ends, and what is said of it.
WANTED = {
    "accounting has not read": (
        "UPDATE outbox_cursors SET xid = (xid::text::bigint - 11000000)::text::xid8",
        "UPDATE outbox_cursors SET xid = (xid::text::bigint + 11000000)::text::xid8",
    ),
    "webhooks has not read": (
        "INSERT INTO outbox_cursors (consumer) VALUES ('webhooks')",
        "DELETE FROM outbox_cursors WHERE consumer = 'webhooks'",
    ),
    "guardian has not read": (
        "UPDATE guardian_rounds SET events_xid = '1' WHERE scope = 'increment'",
        """UPDATE guardian_rounds SET events_xid = c.xid FROM outbox_cursors c
        WHERE scope = 'increment'""",
    ),
    "parked as a dead letter": (
        """INSERT INTO dead_letters (consumer, event_id, xid, outbox_id, type, cause, fingerprint)
        SELECT 'accounting', event_id, xid, id, type, '', '' FROM outbox
        ORDER BY outbox.xid LIMIT 1""",
        "DELETE FROM dead_letters",
    ),
    "the guardian found something": (
        """INSERT INTO guardian_findings (check_name, is_money, evidence, rows_found, found_by)
        VALUES ('made up', true, '[]', 1, 'whole')""",
        "DELETE FROM guardian_findings",
    ),
    "changes are stopped": (
        """UPDATE system_state SET status = 'stopped', incident = 'INC-1', reason = 'made up',
        origin = 'page'""",
        "UPDATE system_state SET status = 'running'",
    ),
}


def test_what_is_still_wanted_stays(
    old: Company, settings: Settings, superuser: psycopg.Connection[Any]
) -> None:
    superuser.execute("SET session_replication_role = replica")
    whole = old.value(LOG)
    for because, (wanted, ended) in WANTED.items():
        superuser.execute(wanted)
        assert archive_due(settings) == [], because
        assert because in (partitions_of(old, settings)[0].kept_because or "")
        superuser.execute(ended)
    assert archive_due(settings, outbox_keep_days=600) == []
    assert "OUTBOX_KEEP_DAYS" in (
        partitions_of(old, replace(settings, outbox_keep_days=600))[0].kept_because or ""
    )
    with pytest.raises(Unavailable, match="MIGRATION_DATABASE_URL"):
        archive_due(settings, migration_database_url=settings.database_url)
    assert old.value(LOG) == whole
    assert len(archive_due(settings, outbox_keep_days=499)) == 1


def test_by_the_clock_only_into_the_folder_that_is_named(
    old: Company,
    make_app: Callable[..., Flask],
    settings: Settings,
    superuser: psycopg.Connection[Any],
    tmp_path: Path,
) -> None:
    superuser.execute(HAVE_ALL_READ)
    whole, shared, other = old.value(LOG), tmp_path / "shared", tmp_path / "other"
    for named in (None, shared):  # none is named, or it is not there
        tick(make_app(outbox_archive_dir=named))
        assert old.value(LOG) == whole
        assert not shared.exists()
    with pytest.raises(ArchiveRefused, match="mounted"):
        archive_due(settings, outbox_archive_dir=shared)

    shared.mkdir()
    other.mkdir()
    tick(make_app(outbox_archive_dir=shared, migration_database_url=settings.database_url))
    assert list(shared.iterdir()) == []
    tick(make_app(outbox_archive_dir=shared))
    assert old.value("SELECT count(*) FROM outbox") == 1
    file = old.value("SELECT file FROM outbox_partitions WHERE archived_at IS NOT NULL")
    assert (shared / file).exists()
    # Another machine, whose folder of that name is its own.
    with pytest.raises(ArchiveRefused, match=file):
        archive_due(settings, outbox_archive_dir=other)
    assert list(other.iterdir()) == []


def tick(app: Flask) -> None:
    """An hour's archiving by a worker."""
    with app.app_context():
        schedules.archive_log()
    if (thread := schedules._threads.get("archive")) is not None:
        thread.join(30)


def test_killed_anywhere_nothing_is_lost(
    old: Company, call: Callable[..., Any], settings: Settings
) -> None:
    whole = old.value(LOG)
    with archiving(settings) as kill:
        for function, moment in (
            ("check_file", "before"),
            ("write_manifest", "before"),
            ("write_manifest", "after"),
            ("_take_out_now", "after"),  # in the transaction that takes the partition out
        ):
            kill(function, moment)
            assert old.value(LOG) == whole
            assert not old.value("SELECT bool_or(archived_at IS NOT NULL) FROM outbox_partitions")
        kill("_take_out", "after")
    assert old.value("SELECT count(*) FROM outbox") == 1
    assert [part for part in rebuild(settings) if part.differ] == []
    assert call(check_everything) == []
    assert archive_due(settings) == []


@contextmanager
def archiving(settings: Settings) -> Iterator[Callable[[str, str], None]]:
    """What has a process archive, and kills it before or after it has called a function."""
    env = {
        "DATABASE_URL": settings.database_url,
        "MIGRATION_DATABASE_URL": settings.migration_database_url,
        "REDIS_URL": settings.redis_url,
        "SECRET_KEY": settings.secret_key,
        "ATES_DATA": str(settings.data_dir),
    }
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "bufsize": 1}
    with subprocess.Popen([sys.executable, "-c", STOPS], cwd=ROOT, env=env, **pipes) as process:

        def kill(function: str, moment: str) -> None:
            process.stdin.write(f"{function} {moment}\n")
            os.kill(int(process.stdout.readline()), signal.SIGKILL)

        yield kill
        process.stdin.close()


def test_a_file_that_is_missing_or_damaged_is_named(
    old: Company, app: Flask, settings: Settings
) -> None:
    [made] = archive_due(settings)
    runner = app.test_cli_runner()
    listed = runner.invoke(args=["outbox", "archives"])
    assert listed.exit_code == 0, listed.output
    assert made.file in listed.output
    path = settings.data_dir / "archive" / made.file
    whole = path.read_bytes()
    for damaged in (whole[:-20], whole[:100] + b"\0" + whole[101:], whole + b"more", b"", None):
        path.unlink() if damaged is None else path.write_bytes(damaged)
        with pytest.raises(ArchiveDamaged, match=made.file):
            rebuild(settings)
        answer = runner.invoke(args=["outbox", "archives"])
        assert answer.exit_code == 1
        assert made.file in answer.output
    path.write_bytes(whole)
    assert rebuild(settings)


def test_pages_say_what_is_archived_and_readers_are_waited_for(
    old: Company,
    settings: Settings,
    sign_in: Callable[[User], Browser],
    make_user: Callable[..., User],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(archive, "TRIES", 2)
    monkeypatch.setattr(archive, "PAUSE_S", 0.0)
    with psycopg.connect(settings.database_url) as reader:
        reader.execute("SELECT count(*) FROM outbox")
        with pytest.raises(Unavailable, match="try again"):
            archive_due(settings)
    [made] = archive_due(settings)

    transfer = old.rows("SELECT id, event_id, task_id FROM account_transfers ORDER BY id")[0]
    admin, accountant = sign_in(make_user("administrator")), sign_in(make_user("accountant"))
    assert f"{made.events} events in 1 file" in admin.get("/system/events").text
    found = admin.get(f"/system/events?q={transfer.event_id}")
    assert (found.status_code, found.location) == (303, f"/system/events/{transfer.event_id}")
    event = admin.get(f"/system/events/{transfer.event_id}")
    assert event.status_code == 200
    assert made.file in event.text
    assert admin.get("/system/events/01900000-0000-7000-8000-000000000000").status_code == 404
    traced = accountant.get(f"/transfers/{transfer.id}")
    assert f"archived in {made.file}" in traced.text
    assert admin.get(f"/tasks/{transfer.task_id}").status_code == 200
