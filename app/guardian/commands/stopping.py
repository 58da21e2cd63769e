"""The emergency stop and its end. The fence is in the database: see migration 0008.

A stop is two transactions. The first writes the state: from its commit on, whoever begins to
change something is refused. The second takes the fence's lock, which all who passed before hold
until they end: from its commit on, no change can commit.
"""

from __future__ import annotations

import time
from typing import Any, Literal

import structlog
from psycopg import errors as pg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from app.guardian import alerts
from app.guardian.commands.rounds import check_everything
from app.kernel import audit, system
from app.kernel.actor import Actor
from app.kernel.db import command, sql
from app.kernel.errors import BadInput, Conflict
from app.outbox import wake_relay

log = structlog.get_logger(__name__)

REASON_MAX_LENGTH = 500
LOOK_AGAIN_MS = 1_000
PATIENCE_S = 10.0
Origin = Literal["guardian", "page", "command line"]

LOCK_STATE = sql("SELECT status::text, incident FROM system_state FOR UPDATE")
# Refuses new changes from this commit on.
DECLARE = sql("""
UPDATE system_state SET status = 'stopping', since = now(), reason = :reason, origin = :origin,
  changed_by = :actor_id,
  incident = 'INC-' || to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYYMMDD-HH24MISS')
RETURNING incident
""")
# Waits for the changes under way, no longer than a moment at a time.
WAIT_FOR_CHANGES = sql("SELECT set_config('lock_timeout', :ms, true), pg_advisory_xact_lock(4)")
FENCE = sql("UPDATE system_state SET status = 'stopped' WHERE status = 'stopping'")
RESUME = sql("""
UPDATE system_state SET status = 'running', since = now(), changed_by = :actor_id, origin = NULL,
  incident = NULL, reason = NULL
""")
# Findings that an administrator resumed in spite of do not stop changes again unless they grow.
ACCEPT = sql("""
UPDATE guardian_findings SET accepted_at = now(), accepted_rows = rows_found
WHERE resolved_at IS NULL AND is_money
""")


def stop(
    actor: Actor | None, *, reason: str, origin: Origin, patience_s: float = PATIENCE_S
) -> str:
    """Stop all changes; returns the incident's id. During a stop it returns that one's.

    `actor` is None for the guardian and the command line. Waits up to `patience_s` for changes
    under way; the guardian's rounds go on waiting. Raises BadInput without a reason.
    """
    if actor is not None:
        actor.require("stop_and_resume")
    incident = _declare(actor, reason=checked_reason(reason), origin=origin)
    if not fence(patience_s=patience_s):
        log.error("stop_waits", incident=incident)
    alerts.send_due()
    return incident


@command
def _declare(session: Session, actor: Actor | None, *, reason: str, origin: str) -> str:
    found = session.execute(LOCK_STATE).one()
    if found.status != "running":
        return str(found.incident)
    actor_id = actor.user_id if actor else None
    names = {"reason": reason, "origin": origin, "actor_id": actor_id}
    incident = str(session.execute(DECLARE, names).scalar_one())
    details = {"incident": incident, "reason": reason, "origin": origin}
    audit.record(session, "stop", actor_id=actor_id, details=details)
    by = actor.login if actor else origin
    alerts.write(
        session,
        "stop",
        f"aTES: changes are stopped ({incident})",
        f"All changes were stopped by {by}.\nIncident: {incident}\nReason: {reason}\n\n"
        "Reading goes on. Look at the findings before you resume.",
    )
    return incident


def fence(*, patience_s: float = PATIENCE_S) -> bool:
    """Wait for the changes under way and call the system stopped; whether that is done."""
    give_up_at = time.monotonic() + patience_s
    while True:
        try:
            _fence()
        except DBAPIError as error:
            if not isinstance(error.orig, pg.LockNotAvailable):
                raise
            if time.monotonic() >= give_up_at:
                return False
        else:
            return True


@command
def _fence(session: Session) -> None:
    session.execute(WAIT_FOR_CHANGES, {"ms": str(LOOK_AGAIN_MS)})
    session.execute(FENCE)


def resume(actor: Actor | None, *, reason: str, despite_findings: bool = False) -> None:
    """Let changes go on, after every check of the guardian found the money in order.

    Raises BadInput without a reason; Conflict when changes are not stopped, when some are still
    under way, or when a check found something: `despite_findings` (the command line only)
    accepts what was found, which then stops changes again only if it grows.
    """
    if actor is not None:
        actor.require("stop_and_resume")
    reason = checked_reason(reason)
    incident = _incident_to_end()
    if not fence():
        raise Conflict("Changes are still under way: try again in a moment")
    broken = [finding for finding in check_everything() if finding.is_money]
    if broken and not despite_findings:
        names = "; ".join(finding.check_name for finding in broken)
        raise Conflict(f"Not everything is in order: {names}")
    _resume(actor, incident, reason, [finding.check_name for finding in broken])
    alerts.send_due()


@command
def _incident_to_end(session: Session) -> str:
    found = system.state(session)
    if not found.is_stopped:
        raise Conflict("Changes are not stopped")
    return str(found.incident)


@command
def _resume(
    session: Session, actor: Actor | None, incident: str, reason: str, accepted: list[str]
) -> None:
    found = session.execute(LOCK_STATE).one()
    if found.status != "stopped" or found.incident != incident:
        raise Conflict("The system was stopped or resumed by somebody else meanwhile")
    actor_id = actor.user_id if actor else None
    if accepted:
        session.execute(ACCEPT)
    session.execute(RESUME, {"actor_id": actor_id})
    details: dict[str, Any] = {"incident": incident, "reason": reason, "accepted": accepted}
    audit.record(session, "resume", actor_id=actor_id, details=details)
    by = actor.login if actor else "the command line"
    in_spite_of = f"\nIn spite of: {'; '.join(accepted)}" if accepted else ""
    alerts.write(
        session,
        "resume",
        f"aTES: changes go on ({incident} has ended)",
        f"Changes were resumed by {by}.\nReason: {reason}{in_spite_of}",
    )
    wake_relay(session)


def checked_reason(reason: str) -> str:
    """The reason without white space around it. Raises BadInput when there is none."""
    reason = reason.strip()
    if not 0 < len(reason) <= REASON_MAX_LENGTH:
        raise BadInput(
            fields={"reason": f"Give a reason of at most {REASON_MAX_LENGTH} characters"}
        )
    return reason
