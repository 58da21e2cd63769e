"""The rows of hot reads, straight from psycopg.

SQLAlchemy's layers around a statement of text take two to three times as long as psycopg itself,
and each statement of a page waits for its answer before the next is sent. Here several are sent
together. A read needs no transaction of its own either: where none is under way none is begun,
which saves a page the ways to the server and back that BEGIN and ROLLBACK are. READ COMMITTED
gives each statement its own snapshot in both cases. An error is raised as SQLAlchemy raises it.

psycopg has a statement that comes often prepared by the server, which may then plan it without
knowing its words. How many rows a word is in decides how it is best looked for, so that a search is
planned each time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, NamedTuple, cast

import psycopg
from psycopg.pq import TransactionStatus
from sqlalchemy import TextClause
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

Driver = psycopg.Connection[tuple[Any, ...]]
Row = tuple[Any, ...]


class Read(NamedTuple):
    """A statement that reads, and its parameters; planned for them each time if `is_search`."""

    statement: TextClause
    values: Mapping[str, Any]
    is_search: bool = False


def first_row(session: Session, statement: TextClause, values: Mapping[str, Any]) -> Row | None:
    """The first row of a read, if there is one."""
    with _reading(session, statement, values) as driver:
        return driver.execute(_text(statement), values).fetchone()


def rows(session: Session, read: Read) -> list[Row]:
    """All rows of a read."""
    with _reading(session, read.statement, read.values) as driver:
        return _executed(driver, read).fetchall()


def rows_of_each(session: Session, *reads: Read) -> list[list[Row]]:
    """All rows of each of some reads, which are sent together and executed in their order."""
    with _reading(session, reads[0].statement, reads[0].values) as driver:
        with driver.pipeline():
            cursors = [_executed(driver, read) for read in reads]
        return [cursor.fetchall() for cursor in cursors]


def _executed(driver: Driver, read: Read) -> psycopg.Cursor[Row]:
    prepare = False if read.is_search else None
    return driver.execute(_text(read.statement), read.values, prepare=prepare)


@contextmanager
def _reading(
    session: Session, statement: TextClause, values: Mapping[str, Any]
) -> Iterator[Driver]:
    """The session's connection; `statement` is what SQLAlchemy is told that it broke at."""
    connection = session.connection()
    driver = cast(Driver, connection.connection.driver_connection)
    alone = _is_alone(session, driver)
    try:
        if alone:
            driver.autocommit = True
        yield driver
    except psycopg.Error as error:
        if driver.closed:
            session.execute(statement, values)  # fails too: SQLAlchemy learns that it is lost
        raise DBAPIError.instance(
            None, None, error, psycopg.Error, dialect=connection.dialect
        ) from error
    finally:
        if alone and not driver.closed:
            driver.autocommit = False


def _is_alone(session: Session, driver: Driver) -> bool:
    """Whether nothing that the session does belongs together with this read."""
    return (
        driver.info.transaction_status == TransactionStatus.IDLE
        and driver.isolation_level is None
        and not session.info.get("in_command")
    )


@lru_cache(maxsize=256)
def _text(statement: TextClause) -> bytes:
    compiled = statement.compile(dialect=postgresql.psycopg.dialect())  # type: ignore[no-untyped-call]
    return str(compiled).encode()
