"""Reads of exports: what was asked for, how far it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from sqlalchemy.orm import Session

from app.accounting.queries.filters import LedgerFilter
from app.kernel.db import sql
from app.kernel.errors import NotFound
from app.kernel.periods import Period

# Stuck: nobody has taken it for a while, or whoever had it is gone.
_COLUMNS = """
id, format, filter, state, rows_total, rows_done, requested_at, finished_at, size_bytes, error,
attempts, state IN ('queued', 'running') AND requested_at < now() - interval '30 seconds'
  AND coalesce(leased_until < now(), true) AS is_stuck
"""
# An export is its asker's: to everybody else there is none.
EXPORT = sql(f"""
SELECT {_COLUMNS} FROM exports WHERE id = :export_id AND requested_by = :user_id
""")
EXPORTS = sql(f"""
SELECT {_COLUMNS} FROM exports WHERE requested_by = :user_id ORDER BY id DESC LIMIT :limit
""")


def export_of(session: Session, user_id: int, export_id: int) -> Any:
    """One's own export. Raises NotFound."""
    row = session.execute(EXPORT, {"export_id": export_id, "user_id": user_id}).one_or_none()
    if row is None:
        raise NotFound("There is no such export")
    return row


def exports_of(session: Session, user_id: int, *, limit: int = 20) -> Sequence[Any]:
    """One's own exports, newest first."""
    return session.execute(EXPORTS, {"user_id": user_id, "limit": limit}).all()


def filter_as_json(wanted: LedgerFilter) -> dict[str, Any]:
    """The filter as `exports` keeps it."""
    return {
        "from": wanted.period.first.isoformat(),
        "to": wanted.period.last.isoformat(),
        "user_id": wanted.user_id,
        "kind": wanted.kind,
        "q": wanted.text,
    }


def filter_from_json(kept: Mapping[str, Any]) -> LedgerFilter:
    """The reverse of `filter_as_json`."""
    period = Period(date.fromisoformat(kept["from"]), date.fromisoformat(kept["to"]))
    return LedgerFilter(period=period, user_id=kept["user_id"], kind=kept["kind"], text=kept["q"])
