"""Partitions are made ahead, protected as the log is, and no write is ever without one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from app.guardian.checks import BY_NAME
from app.kernel.db import in_transaction
from app.kernel.settings import Settings
from app.outbox import partitions, relay
from embedded.postgres import Cluster
from tests.company import Company
from tests.outbox.log import run_ahead
from tests.outbox.test_relay import Heard

WRITE = """
INSERT INTO outbox (type, schema_version, task_id, user_id, actor_id)
VALUES ('TaskCreated', 1, 1, 1, 1) RETURNING event_id
"""
PLACES = """
SELECT tableoid::regclass::text AS name, count(*) AS events FROM outbox GROUP BY 1 ORDER BY min(id)
"""
RANGES = "SELECT xid_from::text::bigint, xid_to::text::bigint FROM outbox_partitions ORDER BY 1"
NAMES = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'outbox'::regclass"
APPEND_ONLY = "the ledger is append-only"


@pytest.fixture
def owner(cluster: Cluster, database: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(cluster.owner_url(database), autocommit=True) as connection:
        yield connection


def test_whatever_the_pace_events_have_a_partition_and_are_read_once(
    company: Company, owner: psycopg.Connection[Any], call: Callable[..., Any]
) -> None:
    written = []
    assert call(partitions.make_ahead) is None  # one is ahead
    # Into the second; past it and the one ahead, so that nothing but the default is left; slowly.
    for ahead in (0, 11_000_000, 95_000_000, 96_000_000):
        run_ahead(owner, ahead)
        written += [row.event_id for row in company.rows(WRITE)]
        call(partitions.make_ahead)
        written += [row.event_id for row in company.rows(WRITE)]
    assert company.rows(PLACES) == [
        ("outbox_0", 2), ("outbox_10000000", 2), ("outbox_40000000", 2),
        (company.value("SELECT max(name) FROM outbox_partitions WHERE xid_to < '400000000'"), 2),
    ]  # fmt: skip
    ranges = [tuple(row) for row in company.rows(RANGES)]
    assert all(end == begin for (_, end), (begin, _) in pairwise(ranges))
    # Used up in no time, so twice as wide as the one before; only the first two are as made.
    assert [end - begin for begin, end in ranges[:3]] == [10_000_000, 10_000_000, 20_000_000]
    heard = Heard()
    company.call(relay.drain, heard.consumer, batch=3)
    assert heard.ids == written


def test_each_partition_is_protected_as_the_log_is(
    company: Company, owner: psycopg.Connection[Any], call: Callable[..., Any], settings: Settings
) -> None:
    run_ahead(owner, 11_000_000)
    company.rows(WRITE)
    assert call(partitions.make_ahead) == "outbox_20000000"
    assert not company.rows(BY_NAME[APPEND_ONLY].whole)
    names = [row[0] for row in company.rows(NAMES)]
    assert len(names) == 4
    for name in names:
        with pytest.raises(psycopg.errors.IntegrityConstraintViolation):
            owner.execute(f"DELETE FROM {name}")
        with pytest.raises(sa.exc.ProgrammingError, match="permission denied"):
            company.rows(f"INSERT INTO {name} (type, schema_version) VALUES ('x', 1)")
        for harm, again in (
            (f"GRANT INSERT ON {name} TO ates_app", f"REVOKE INSERT ON {name} FROM ates_app"),
            (f"ALTER TABLE {name} DISABLE TRIGGER outbox_fence",
             f"ALTER TABLE {name} ENABLE TRIGGER outbox_fence"),
        ):  # fmt: skip
            owner.execute(harm)
            assert company.rows(BY_NAME[APPEND_ONLY].whole), harm
            owner.execute(again)
    owner.execute("DROP TRIGGER outbox_append_only ON outbox_0")
    assert company.rows(BY_NAME[APPEND_ONLY].whole)


def test_a_reader_of_the_log_makes_the_next_partition_wait_and_not_the_others(
    company: Company, owner: psycopg.Connection[Any], call: Callable[..., Any], settings: Settings
) -> None:
    run_ahead(owner, 11_000_000)
    with psycopg.connect(settings.database_url) as reader:
        reader.execute("SELECT count(*) FROM outbox")
        assert call(partitions.make_ahead) is None
        assert company.rows(WRITE)
    assert call(partitions.make_ahead) == "outbox_20000000"


def test_the_relay_looks_at_no_partition_that_it_has_read(
    company: Company, owner: psycopg.Connection[Any], call: Callable[..., Any]
) -> None:
    company.rows(WRITE)
    run_ahead(owner, 11_000_000)
    company.rows(WRITE)
    names = {"xid": "11000000", "id": 0, "limit": 10}

    def plan(statement: str) -> str:
        rows = in_transaction(lambda session: session.execute(sa.text(statement), names).all())
        return "\n".join(row[0] for row in rows)

    read = str(relay.READ_BATCH)
    assert "outbox_0" not in call(plan, f"EXPLAIN ANALYZE {read}")
    control = read.replace("AND xid >= CAST(:xid AS xid8)", "")
    assert "outbox_0" in call(plan, f"EXPLAIN ANALYZE {control}")
