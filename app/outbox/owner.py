"""The log as its owner: for what the application's role may not do.

It is for the command line, and for a worker that is told to archive; nothing that answers requests.
"""

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


IS_OWNER = "SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = 'outbox'::regclass"
NOT_OWNER = "This role does not own the tables: set MIGRATION_DATABASE_URL to the owner's"


@contextmanager
def as_owner(settings: Settings) -> Iterator[Connection]:
    """A connection of the tables' owner, in autocommit and UTC.

    Raises Unavailable where the role of MIGRATION_DATABASE_URL is another.
    """
    try:
        with psycopg.connect(
            settings.migration_database_url, autocommit=True, options=OPTIONS, connect_timeout=5
        ) as connection:
            if connection.execute(IS_OWNER).fetchone() != (True,):
                raise Unavailable(NOT_OWNER)
            yield connection
    except pg.InsufficientPrivilege as error:
        raise Unavailable(NOT_OWNER) from error
