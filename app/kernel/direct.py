"""One row of a hot statement, straight from psycopg.

SQLAlchemy's layers around a statement of text take two to three times as long as psycopg itself,
which the two statements of every API call feel. The transaction is the session's, and an error is
raised as SQLAlchemy raises it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, cast

import psycopg
from sqlalchemy import TextClause
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session


def first_row(
    session: Session, statement: TextClause, values: Mapping[str, Any]
) -> tuple[Any, ...] | None:
    """Execute `statement` in the session's transaction; its first row, if there is one."""
    connection = session.connection()
    driver = cast(psycopg.Connection[tuple[Any, ...]], connection.connection.driver_connection)
    try:
        return driver.execute(_text(statement), values).fetchone()
    except psycopg.Error as error:
        if driver.closed:
            session.execute(statement, values)  # fails too: SQLAlchemy learns that it is lost
        raise DBAPIError.instance(
            None, None, error, psycopg.Error, dialect=connection.dialect
        ) from error


@lru_cache(maxsize=64)
def _text(statement: TextClause) -> bytes:
    compiled = statement.compile(dialect=postgresql.psycopg.dialect())  # type: ignore[no-untyped-call]
    return str(compiled).encode()
