"""The guardian's work by the clock: what the schedule runs."""

from __future__ import annotations

import structlog
from sqlalchemy.orm import Session

from app.guardian import alerts
from app.guardian.commands import check_increment, check_next_whole, stop
from app.guardian.commands.rounds import stopping_findings
from app.guardian.commands.stopping import fence
from app.kernel import settings, system
from app.kernel.db import command

log = structlog.get_logger(__name__)


def guard() -> None:
    """One round: check what is new, stop on a finding of money, send the alerts that are due.

    What was found is acted on also when the round cannot be finished. Raises what kept it.
    """
    try:
        check_increment()
    finally:
        _stop_if_needed()
        alerts.send_due()


def guard_whole() -> None:
    """Check one more rule on all rows, when its time of the night has come."""
    if check_next_whole(settings.current().business_timezone):
        _stop_if_needed()


def _stop_if_needed() -> None:
    status = _status()
    broken = stopping_findings()
    if broken and status == "running":
        incident = stop(
            None, reason=f"The guardian found: {'; '.join(broken)}"[:500], origin="guardian"
        )
        log.error("guardian_stopped", incident=incident, checks=broken)
    elif status == "stopping":
        fence()  # whoever declared the stop did not live to see it through


@command
def _status(session: Session) -> str:
    return system.state(session).status
