"""Whether the business time zone still is the one by which days were closed."""

from __future__ import annotations

from sqlalchemy.orm import Session

from app.kernel.db import sql
from app.kernel.errors import Conflict
from app.kernel.messages import said

# The newest day that is not open, where the zone would have ended it at another moment. Older days
# need no look: reports go by the day that each transfer holds.
MOVED_DAY = sql("""
SELECT day FROM (SELECT day, during FROM business_days WHERE status <> 'open'
                 ORDER BY day DESC LIMIT 1) AS newest
WHERE during <> tstzrange(day::timestamp AT TIME ZONE :timezone,
                          (day + 1)::timestamp AT TIME ZONE :timezone)
""")


def refuse_moved_day(session: Session, timezone: str) -> None:
    """Raise Conflict when `timezone` would move a business day that is closed."""
    day = session.execute(MOVED_DAY, {"timezone": timezone}).scalar()
    if day is not None:
        raise Conflict(
            said(
                "BUSINESS_TIMEZONE=%(zone)s would move %(day)s, which is closed: set it back",
                zone=timezone,
                day=day,
            )
        )
