"""Whether changes are stopped. The fence itself is in the database: see migration 0008."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from app.kernel.db import sql

# A guardian that has not finished a round for so long, by the database's clock, counts as dead.
HEARTBEAT_S = 30

STATE = sql("""
SELECT s.status::text, s.incident, s.reason, s.since, s.origin, u.login AS changed_by
FROM system_state s LEFT JOIN users u ON u.id = s.changed_by
""")


@dataclass(frozen=True, slots=True)
class SystemState:
    """`running`, `stopping` (new changes are refused), `stopped` (no change is under way)."""

    status: str
    incident: str | None
    reason: str | None
    since: datetime | None
    origin: str | None
    changed_by: str | None

    @property
    def is_stopped(self) -> bool:
        """Whether changes are refused."""
        return self.status != "running"

    @property
    def id(self) -> str | None:
        """The incident, as the banner calls it."""
        return self.incident


# A state that cannot be read counts as stopped.
UNREADABLE = SystemState("stopped", "UNKNOWN", None, None, None, None)


def state(session: Session) -> SystemState:
    """The system's state now. Raises what the database raises when it cannot be read."""
    row = session.execute(STATE).one_or_none()
    return UNREADABLE if row is None else SystemState(*row)
