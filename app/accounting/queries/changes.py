"""What tells that money has moved: cheap values that pages which stay open ask for."""

from __future__ import annotations

from datetime import date
from typing import Any

from sqlalchemy.orm import Session

from app.kernel import settings
from app.kernel.db import sql

# A person's account changes with every transfer; what it earned today also at midnight.
ACCOUNT_VERSION = sql("""
SELECT coalesce((SELECT version FROM accounts WHERE user_id = :user_id), 0) AS version,
       (business_now() AT TIME ZONE :timezone)::date AS today
""")
# The ledger changes with every transfer of the day that goes on, and with every day that is closed.
LEDGER_VERSION = sql("""
SELECT today.day AS today, coalesce(l.transfers, 0) AS transfers,
       (SELECT count(*) FROM business_days WHERE status = 'closed') AS closed
FROM (SELECT (business_now() AT TIME ZONE :timezone)::date AS day) AS today
LEFT JOIN ledger_days l ON l.business_day = today.day
""")


def account_version(session: Session, user_id: int) -> Any:
    """`version` of somebody's account, and the business day that is `today`."""
    names = {"user_id": user_id, "timezone": settings.current().business_timezone}
    return session.execute(ACCOUNT_VERSION, names).one()


def ledger_version(session: Session) -> tuple[date, int, int]:
    """The business day that goes on, how many transfers it has, and how many days are closed."""
    names = {"timezone": settings.current().business_timezone}
    row = session.execute(LEDGER_VERSION, names).one()
    return row.today, row.transfers, row.closed
