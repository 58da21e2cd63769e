"""How many rows a statement changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from sqlalchemy import CursorResult, TextClause
from sqlalchemy.orm import Session


def changed(session: Session, statement: TextClause, values: Mapping[str, Any]) -> int:
    """Execute an UPDATE or DELETE; returns how many rows it changed."""
    result = cast(CursorResult[Any], session.execute(statement, values))
    return result.rowcount
