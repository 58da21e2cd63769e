"""The database: one engine, one session a request or job, one transaction a command."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

import psycopg
from flask_sqlalchemy import SQLAlchemy
from flask_sqlalchemy.session import Session as FlaskSession
from psycopg import errors as pg
from sqlalchemy import Engine, MetaData, TextClause, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import DeclarativeBase, Session

from app.kernel.errors import OutcomeUnknown, Stopped

P = ParamSpec("P")
R = TypeVar("R")

APP_ROLE = "ates_app"
# What the fence of migration 0008 answers to a change while changes are stopped.
STOPPED_SQLSTATE = "57ST0"
MAX_ATTEMPTS = 4
_RETRYABLE = (pg.SerializationFailure, pg.DeadlockDetected)
# A commit with one of these as a warning is on this server only: the wait for the synchronous
# standby was cancelled (01000), or the server is being shut down (57P01).
_DOUBTFUL = frozenset({"01000", "57P01"})
_heard = threading.local()

# A server whose network is gone sends no farewell: without these a request would wait for its
# answer until TCP gives up, after a quarter of an hour. A socket in a folder has no use for them.
NETWORK = {
    "tcp_user_timeout": 5_000,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 2,
}
TIMEOUTS_MS = {
    # A web request gives up before its client does; a worker's batch or closing may take longer.
    "web": {"lock_timeout": 5_000, "statement_timeout": 30_000, "transaction_timeout": 40_000},
    "worker": {
        "lock_timeout": 10_000,
        "statement_timeout": 300_000,
        "transaction_timeout": 300_000,
    },
}


class Base(DeclarativeBase):
    """Every table's metadata, with named constraints so that migrations can speak of them."""

    metadata = MetaData(
        naming_convention={
            "ix": "%(table_name)s_%(column_0_N_name)s_idx",
            "uq": "%(table_name)s_%(column_0_N_name)s_key",
            "ck": "%(table_name)s_%(constraint_name)s_check",
            "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
            "pk": "%(table_name)s_pkey",
        }
    )


class _Session(FlaskSession):
    """A session that can be closed when its connection is lost.

    The answer to a request is made by then; a rollback that finds no server would make it a 500.
    """

    def close(self) -> None:
        """Give the connection back, or up."""
        try:
            super().close()
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
            self.invalidate()


db = SQLAlchemy(model_class=Base, session_options={"class_": _Session, "expire_on_commit": False})


def engine_options(process: str) -> dict[str, Any]:
    """Pool and connection options for a process of kind `web` or `worker`.

    The connection takes the role `ates_app` whoever signed in, so that the ledger's privileges
    hold even where one role owns everything; idle transactions are ended after 15 s, since an
    old transaction holds back the relay's cursor.
    """
    timeouts = {**TIMEOUTS_MS[process], "idle_in_transaction_session_timeout": 15_000}
    options = " ".join(f"-c {name}={value}" for name, value in timeouts.items())
    return {
        "pool_size": 10,
        "max_overflow": 6,
        "pool_timeout": 2,
        "pool_recycle": 1800,
        "connect_args": {
            "options": f"-c role={APP_ROLE} {options}",
            "connect_timeout": 5,
            "application_name": f"ates-{process}",
            **NETWORK,
        },
    }


@lru_cache(maxsize=1024)
def sql(statement: str) -> TextClause:
    """A named statement: SQL text with `:name` parameters. One that is put together is kept."""
    return text(statement)


def command(
    function: Callable[Concatenate[Session, P], R],
) -> Callable[P, R]:
    """Make `function(session, …)` a command: one call is one transaction.

    Called inside another command it joins that one's transaction. A deadlock, a serialization
    failure, or a connection lost before COMMIT runs the whole command again, at most
    MAX_ATTEMPTS times; a connection lost during COMMIT is never repeated, since nobody knows
    whether it took effect. Raises OutcomeUnknown when PostgreSQL committed and warned that no
    standby may have it; Stopped during an emergency stop.
    """

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        return in_transaction(lambda session: function(session, *args, **kwargs))

    return run


def in_transaction(work: Callable[[Session], R]) -> R:
    """Run `work(session)` in the transaction under way, or in one of its own, committed here."""
    session = db.session()
    if session.info.get("in_command"):
        return work(session)
    for attempt in range(1, MAX_ATTEMPTS + 1):
        try:
            session.info["in_command"] = True
            result = work(session)
        except DBAPIError as error:
            _forget(session)
            _raise_if_stopped(error)
            if attempt == MAX_ATTEMPTS or not _may_repeat(error):
                raise
            continue
        except BaseException:
            _forget(session)
            raise
        try:
            return _commit(session, result)
        except DBAPIError as error:  # the answer to a COMMIT that says that there was none
            if attempt == MAX_ATTEMPTS or not isinstance(error.orig, _RETRYABLE):
                raise
    raise AssertionError("unreachable: the last attempt returns or raises")


def after_commit(session: Session, callback: Callable[[], None]) -> None:
    """Call `callback` once, after the transaction under way has committed; never if it does not."""
    callbacks: dict[Callable[[], None], None] = session.info.setdefault("after_commit", {})
    callbacks[callback] = None


def _commit(session: Session, result: R) -> R:
    _heard.doubt = None
    try:
        session.commit()
    except BaseException:
        _forget(session)
        raise
    if _was_doubted():
        _forget(session)
        raise OutcomeUnknown
    callbacks = session.info.pop("after_commit", {})
    session.info.pop("in_command", None)
    for callback in callbacks:
        callback()
    return result


def _forget(session: Session) -> None:
    session.info.pop("after_commit", None)
    session.info.pop("in_command", None)
    session.rollback()


@event.listens_for(Engine, "connect")
def _listen(connection: psycopg.Connection[Any], _record: object) -> None:
    connection.add_notice_handler(_hear)


def _hear(said: pg.Diagnostic) -> None:
    # psycopg tells it in the thread that waits for the server's answer.
    if said.severity_nonlocalized == "WARNING" and said.sqlstate in _DOUBTFUL:
        _heard.doubt = said.message_primary


def _was_doubted() -> bool:
    return getattr(_heard, "doubt", None) is not None


def _raise_if_stopped(error: DBAPIError) -> None:
    if isinstance(error.orig, pg.Error) and error.orig.sqlstate == STOPPED_SQLSTATE:
        said = json.loads(error.orig.diag.message_detail or "{}")
        incident, reason = said.get("incident", "UNKNOWN"), said.get("reason")
        raise Stopped(incident=incident, reason=reason) from error


def _may_repeat(error: DBAPIError) -> bool:
    return error.connection_invalidated or isinstance(error.orig, _RETRYABLE)
