"""The audit log: who did what, when, from where, with what result. Append-only."""

from __future__ import annotations

import json
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy.orm import Session

from app.kernel.db import sql

# Writes one line of the audit log.
RECORD = sql("""
INSERT INTO audit_log (actor_id, action, result, subject_id, ip, request_id, details)
VALUES (:actor_id, :action, :result, :subject_id, CAST(:ip AS inet), :request_id,
        CAST(:details AS jsonb))
""")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a change comes from: nowhere that is known, unless the edge says so."""

    ip: str | None = None
    request_id: str | None = None


NOWHERE = Origin()
origin: ContextVar[Origin] = ContextVar("origin", default=NOWHERE)


def record(
    session: Session,
    action: str,
    *,
    actor_id: int | None,
    subject_id: int | None = None,
    result: Literal["done", "refused"] = "done",
    details: dict[str, Any] | None = None,
) -> None:
    """Write one line, in the transaction of what it tells of. `details` holds no secrets."""
    where = origin.get()
    session.execute(
        RECORD,
        {
            "actor_id": actor_id,
            "action": action,
            "result": result,
            "subject_id": subject_id,
            "ip": where.ip,
            "request_id": where.request_id,
            "details": json.dumps(details or {}),
        },
    )
