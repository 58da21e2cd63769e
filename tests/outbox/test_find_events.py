"""Events of a task, of an id or of a type are looked up by an index, however long the log is."""

from __future__ import annotations

import re
from typing import Any

import psycopg
import pytest
from sqlalchemy import text

from app.outbox.status import FREQUENT, Wanted, events_sql, newest_events
from tests.company import Company
from tests.guardian.conftest import superuser

__all__ = ["superuser"]

# A long log, in several transactions; one event of a rare type is at its beginning.
FILL = """
INSERT INTO outbox (type, schema_version, task_id, payload)
SELECT 'TaskAssigned', 1, n % 2000 + 1, '{}' FROM generate_series(1, 10000) AS n
"""
RARE = "INSERT INTO outbox (type, schema_version, payload) VALUES ('BusinessDayClosed', 1, '{}')"
ROWS = re.compile(r"outbox_\w+ o(?:_\d+)? .*?rows=(\d+(?:\.\d+)?) loops=(\d+)")
FILTERED = re.compile(r"Rows Removed by Filter: (\d+)")


@pytest.fixture
def log(company: Company, superuser: psycopg.Connection[Any]) -> Company:
    superuser.execute(RARE)
    for _ in range(4):
        superuser.execute(FILL)
    superuser.execute("ANALYZE outbox")
    return company


def read_rows(company: Company, wanted: Wanted) -> float:
    """How many rows of the log the statement reads, those that it drops included."""
    names = {"task_id": wanted.task_id, "event_id": wanted.event_id, "type": wanted.type}
    statement = str(events_sql(wanted, is_first_page=True))
    lines = company.session.execute(
        text(f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) {statement}"), {**names, "limit": 51}
    )
    plan = "\n".join(row[0] for row in lines)
    found = sum(float(rows) * int(loops) for rows, loops in ROWS.findall(plan))
    return found + sum(int(rows) for rows in FILTERED.findall(plan))


def test_each_look_up_reads_what_it_shows(log: Company) -> None:
    event_id = log.value("SELECT event_id FROM outbox ORDER BY id LIMIT 1")
    for wanted in (
        Wanted(task_id=7),
        Wanted(event_id=event_id),
        Wanted(type="BusinessDayClosed"),
        Wanted(type="PayoutMade"),
        Wanted(type="TaskAssigned"),
    ):
        assert read_rows(log, wanted) <= 100, wanted


def test_control_without_the_index_a_rare_type_is_looked_for_in_the_whole_log(
    log: Company, superuser: psycopg.Connection[Any]
) -> None:
    superuser.execute("DROP INDEX outbox_rare_idx")
    assert read_rows(log, Wanted(type="BusinessDayClosed")) > 10_000


def test_it_finds_the_rare_one_and_pages_go_on(log: Company) -> None:
    [found] = newest_events(log.session, Wanted(type="BusinessDayClosed"))
    assert found.type == "BusinessDayClosed"
    first = newest_events(log.session, Wanted(task_id=7), limit=15)
    last = (first[-1].xid, first[-1].id)
    rest = newest_events(log.session, Wanted(task_id=7), before=last, limit=15)
    assert (len(first), len(rest)) == (15, 5)
    assert not {row.id for row in first} & {row.id for row in rest}


def test_what_is_frequent_is_what_the_index_leaves_out(log: Company) -> None:
    index = log.value("SELECT pg_get_indexdef('outbox_rare_idx'::regclass)")
    assert sorted(re.findall("Task[A-Z][a-z]+", index)) == sorted(FREQUENT)
