"""Reads past SQLAlchemy: alone where nothing is under way, else within the transaction."""

from __future__ import annotations

import psycopg
import pytest
from flask import Flask
from psycopg.pq import TransactionStatus
from sqlalchemy.exc import DBAPIError

from app.kernel import direct
from app.kernel.db import db, in_transaction, sql
from app.kernel.direct import Read
from embedded.postgres import Cluster

TICK = sql("INSERT INTO schedule_ticks (name, tick) VALUES ('test', now())")
TICKS = sql("SELECT count(*) FROM schedule_ticks WHERE name = :name")
OF_TEST = Read(TICKS, {"name": "test"})
BROKEN = sql("SELECT 1 / :number")
PREPARED = sql(
    "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%schedule_ticks%'"
)


def test_a_read_begins_no_transaction(app: Flask) -> None:
    with app.app_context():
        session = db.session()
        found = direct.rows_of_each(session, OF_TEST, Read(sql("SELECT 7"), {}))
        status = _driver().info.transaction_status

        assert found == [[(0,)], [(7,)]]
        assert status == TransactionStatus.IDLE
        assert not _driver().autocommit


@pytest.mark.parametrize(("is_search", "prepared"), [(True, 0), (False, 1)])
def test_a_search_is_planned_for_its_words(app: Flask, *, is_search: bool, prepared: int) -> None:
    with app.app_context():
        for _ in range(20):
            direct.rows(db.session(), Read(TICKS, {"name": "test"}, is_search))

        assert direct.rows(db.session(), Read(PREPARED, {})) == [(prepared,)]


def test_a_read_belongs_to_the_transaction_under_way(app: Flask) -> None:
    with app.app_context():

        def work(session: object) -> list[object]:
            before = direct.first_row(db.session(), TICKS, {"name": "test"})
            begun = _driver().info.transaction_status
            db.session.execute(TICK)
            after = direct.rows(db.session(), OF_TEST)
            return [before, begun, after]

        before, begun, after = in_transaction(work)

        assert before == (0,)
        assert begun == TransactionStatus.INTRANS  # a command's first read is within it too
        assert after == [(1,)]
        assert direct.rows(db.session(), OF_TEST) == [(1,)]


@pytest.mark.parametrize("place", [0, 1])
def test_a_read_that_fails_is_told_as_sqlalchemy_does_and_leaves_nothing(
    app: Flask, place: int
) -> None:
    reads = [OF_TEST, OF_TEST]
    reads[place] = Read(BROKEN, {"number": 0})
    with app.app_context():
        with pytest.raises(DBAPIError) as failure:
            direct.rows_of_each(db.session(), *reads)

        assert isinstance(failure.value.orig, psycopg.errors.DivisionByZero)
        assert direct.first_row(db.session(), TICKS, {"name": "test"}) == (0,)
        assert not _driver().autocommit


def test_sqlalchemy_learns_of_a_connection_that_a_read_found_lost(
    app: Flask, cluster: Cluster, database: str
) -> None:
    with app.app_context():
        (pid,) = direct.rows(db.session(), Read(sql("SELECT pg_backend_pid()"), {}))[0]
        with psycopg.connect(cluster.superuser_url(database), autocommit=True) as superuser:
            superuser.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
        with pytest.raises(DBAPIError) as failure:
            direct.rows_of_each(db.session(), OF_TEST, OF_TEST)
        db.session.rollback()

        assert failure.value.connection_invalidated
        assert direct.first_row(db.session(), TICKS, {"name": "test"}) == (0,)


def _driver() -> psycopg.Connection[object]:
    connection = db.session.connection().connection.driver_connection
    assert isinstance(connection, psycopg.Connection)
    return connection
