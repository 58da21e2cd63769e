"""Whether this process is ready for work."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from alembic.script import ScriptDirectory
from psycopg import errors as pg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session, scoped_session

from app.kernel import settings
from app.kernel.db import sql
from app.kernel.system import HEARTBEAT_S

MIGRATIONS = Path(__file__).parents[2] / "migrations"
# The revision that the database is at.
REVISION = sql("SELECT version_num FROM alembic_version")
# The currency that the ledger was made in.
CURRENCY = sql("SELECT currency FROM accounts WHERE kind = 'company_income'")
# Seconds since the guardian's last round, by the database's clock; NULL when there was none.
HEARTBEAT = sql("""
SELECT extract(epoch FROM now() - finished_at)::float8 FROM guardian_rounds
WHERE scope = 'increment'
""")


def readiness(session: Session | scoped_session[Any]) -> list[str]:
    """What keeps this process from work; nothing when it is ready."""
    try:
        revision = session.execute(REVISION).scalar_one_or_none()
    except PoolTimeout:
        return ["all database connections are taken"]
    except DBAPIError as error:
        session.rollback()
        if isinstance(error.orig, pg.UndefinedTable):
            return ["the database is not migrated"]
        return ["the database cannot be reached"]
    if revision is None or (revision != newest_revision() and revision in known_revisions()):
        return [f"the database is at {revision}, the program at {newest_revision()}"]
    currency, wanted = session.execute(CURRENCY).scalar_one(), settings.current().currency
    if currency != wanted:
        return [f"the ledger is in {currency}: CURRENCY={wanted} would call it what it is not"]
    return []


def warnings(session: Session | scoped_session[Any]) -> list[str]:
    """What is wrong and keeps no request from being answered."""
    return [*_of_the_revision(session), *_of_the_guardian(session)]


def _of_the_revision(session: Session | scoped_session[Any]) -> list[str]:
    """A database that is ahead is being deployed to: migrations leave older programs working."""
    revision = session.execute(REVISION).scalar_one()
    if revision in known_revisions():
        return []
    return [f"the database is at {revision}, the program only at {newest_revision()}"]


def _of_the_guardian(session: Session | scoped_session[Any]) -> list[str]:
    age_s = session.execute(HEARTBEAT).scalar_one()
    if age_s is None:
        return ["the guardian has made no round yet"]
    if age_s >= HEARTBEAT_S:
        return [f"the guardian has made no round for {age_s:.0f} s"]
    return []


@lru_cache(maxsize=1)
def newest_revision() -> str | None:
    """The revision that this program's migrations lead to."""
    return ScriptDirectory(str(MIGRATIONS)).get_current_head()


@lru_cache(maxsize=1)
def known_revisions() -> frozenset[str]:
    """The revisions that this program's migrations pass through."""
    scripts = ScriptDirectory(str(MIGRATIONS)).walk_revisions()
    return frozenset(script.revision for script in scripts)
