"""The guardian's heartbeat: who watches over the watchman.

A worker makes the guardian's rounds, so it cannot be what notices that they have ended. The
processes of the web and the scheduler each look, every few seconds, when the last round was
finished. Time is the database's; but a process must have found the same old round several times
in a row, so that a system that was down over the night, or a machine that slept, is no alarm.
"""

from __future__ import annotations

import json
import threading

import structlog
from flask import Flask
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app.guardian import alerts
from app.guardian.checks import HEARTBEAT
from app.guardian.commands.rounds import Finding, keep_finding
from app.kernel.db import command, sql
from app.kernel.errors import AtesError

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 5.0
LOOKS = 6


class Watch:
    """One process's watch over the rounds."""

    def __init__(self) -> None:
        self._last_round: str | None = None
        self._looks = 0

    def look(self) -> bool:
        """Look once; whether this look told people that the guardian makes no rounds."""
        last_round = _last_round_if_late()
        self._looks = self._looks + 1 if last_round == self._last_round else 1
        self._last_round = last_round
        if last_round is None or self._looks < LOOKS:
            return False
        is_news = _keep(last_round)
        alerts.send_due()  # which the guardian's rounds do as a rule
        return is_news


def watch(app: Flask) -> None:
    """Watch from this process, in a thread that ends with it."""
    threading.Thread(target=_watch, args=(app,), name="heartbeat", daemon=True).start()


def _watch(app: Flask) -> None:
    own, pause = Watch(), threading.Event()
    while not pause.wait(LOOK_EVERY_S):
        with app.app_context():
            try:
                own.look()
            except (SQLAlchemyError, AtesError) as error:  # it looks again in a moment
                log.warning("heartbeat_not_seen", error=type(error).__name__)


@command
def _last_round_if_late(session: Session) -> str | None:
    """When the last round was finished, as JSON, if that is too long ago."""
    row = session.execute(sql(HEARTBEAT.whole)).one_or_none()
    return json.dumps(dict(row._mapping), default=str) if row else None  # noqa: SLF001 - public


@command
def _keep(session: Session, last_round: str) -> bool:
    """Note that the rounds have ended, unless another process has: then it is no news."""
    evidence = [json.loads(last_round)]
    log.error("guardian_makes_no_rounds", last_round=last_round)
    found = Finding(HEARTBEAT.name, HEARTBEAT.is_money, 1, evidence, ms=0)
    return keep_finding(session, HEARTBEAT, found, "increment")
