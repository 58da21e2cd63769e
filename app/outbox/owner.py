"""The log as its owner: for what the application's role may not do, from the command line alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import errors as pg

from app.kernel.errors import Unavailable
from app.kernel.settings import Settings

Connection = psycopg.Connection[Any]

OPTIONS = "-c timezone=UTC -c datestyle=ISO -c application_name=ates-owner"


@contextmanager
def as_owner(settings: Settings) -> Iterator[Connection]:
    """A connection of the tables' owner, in autocommit and UTC.

    Raises Unavailable where the role of MIGRATION_DATABASE_URL is another.
    """
    try:
        with psycopg.connect(
            settings.migration_database_url, autocommit=True, options=OPTIONS, connect_timeout=5
        ) as connection:
            yield connection
    except pg.InsufficientPrivilege as error:
        raise Unavailable(
            "This role does not own the tables: set MIGRATION_DATABASE_URL to the owner's"
        ) from error
