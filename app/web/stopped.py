"""The banner of an emergency stop, and what an answer that was refused by it says."""

from __future__ import annotations

import time
from typing import Any

import structlog
from flask import Flask, current_app, g
from sqlalchemy.exc import SQLAlchemyError

from app.kernel import system
from app.kernel.db import db
from app.kernel.errors import Stopped
from app.kernel.system import SystemState

log = structlog.get_logger(__name__)

# Each process asks so often at most; the fence in the database does not wait for it.
KEPT_S = 1.0
_EXTENSION = "ates-system-state"
_DO_NOT_ASK = "system_state_is_not_asked"


def init_app(app: Flask) -> None:
    """Keep the state of the system for the pages of `app`."""
    app.extensions[_EXTENSION] = None


def shown() -> SystemState | None:
    """The stop that a page tells of, or None. A state that cannot be read counts as stopped."""
    state = _kept_or_read()
    return state if state is not None and state.is_stopped else None


def state() -> SystemState:
    """The system's state, as this process knows it; UNREADABLE where it cannot be read."""
    return _kept_or_read() or system.UNREADABLE


def forget() -> None:
    """Ask again at the next page: this process has just stopped or resumed."""
    current_app.extensions[_EXTENSION] = None


def notice(error: BaseException) -> None:
    """An error is being answered: a stop is news, and a database that failed is not asked."""
    if isinstance(error, Stopped):
        forget()
    else:
        setattr(g, _DO_NOT_ASK, True)


def has_failed() -> bool:
    """Whether an error of this request is being answered: its page does not ask the database."""
    return bool(g.get(_DO_NOT_ASK))


def _kept_or_read() -> SystemState | None:
    kept: tuple[float, SystemState] | None = current_app.extensions[_EXTENSION]
    if has_failed():
        return kept[1] if kept else None
    if kept is None or time.monotonic() - kept[0] > KEPT_S:
        kept = current_app.extensions[_EXTENSION] = (time.monotonic(), _read())
    return kept[1]


def _read() -> SystemState:
    session: Any = db.session()
    try:
        return system.state(session)
    except SQLAlchemyError as error:
        session.rollback()
        log.warning("system_state_unreadable", error=type(error).__name__)
        return system.UNREADABLE
