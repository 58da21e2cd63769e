"""Reads of uploaded backlogs: what waits, what was imported, what is in a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from app.kernel.db import sql
from app.kernel.errors import NotFound
from app.kernel.messages import Said
from app.tasks.imports import Fault

SHOWN_IMPORTS = 20

# An upload is its owner's: to everybody else there is none.
UPLOAD = sql("""
SELECT id, file_name, size_bytes, sha256, tasks, preview, uploaded_at, expires_at, at
FROM imports WHERE id = :id AND owner_id = :owner_id AND (at IS NOT NULL OR expires_at > now())
""")
UPLOADS = sql("""
SELECT id, file_name, tasks, faults, uploaded_at, expires_at, at
FROM imports WHERE owner_id = :owner_id AND (at IS NOT NULL OR expires_at > now())
ORDER BY id DESC LIMIT :limit
""")
# Who imported the same bytes last.
IMPORTED_BEFORE = sql("""
SELECT i.at, u.id AS user_id, u.login FROM imports i JOIN users u ON u.id = i.owner_id
WHERE i.sha256 = :sha256 AND i.at IS NOT NULL ORDER BY i.at DESC LIMIT 1
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """An uploaded file: what is in it, and when it was imported, None while it waits.

    `first` are its first tasks as (ticket key, name, description); `faults` its bad rows, bounded.
    """

    id: int
    file_name: str
    size_bytes: int
    sha256: bytes
    tasks: int
    used: Sequence[str]
    ignored: Sequence[str]
    ignored_count: int
    first: Sequence[tuple[str | None, str, str]]
    faults: Sequence[Fault]
    uploaded_at: datetime
    expires_at: datetime
    at: datetime | None


def upload_of(session: Session, user_id: int, import_id: int) -> Upload:
    """One's own upload. Raises NotFound."""
    row = session.execute(UPLOAD, {"id": import_id, "owner_id": user_id}).one_or_none()
    if row is None:
        raise NotFound("There is no such file: it was discarded, or waited longer than a day")
    preview = row.preview
    return Upload(
        id=row.id,
        file_name=row.file_name,
        size_bytes=row.size_bytes,
        sha256=row.sha256,
        tasks=row.tasks,
        used=preview["used"],
        ignored=preview["ignored"],
        ignored_count=preview["ignored_count"],
        first=preview["first"],
        faults=[
            Fault(Said(kept["template"], kept["names"]), kept["line"], kept["column"])
            for kept in preview["faults"]
        ],
        uploaded_at=row.uploaded_at,
        expires_at=row.expires_at,
        at=row.at,
    )


def imports_of(session: Session, user_id: int, *, limit: int = SHOWN_IMPORTS) -> Sequence[Any]:
    """One's own uploads, those that wait and those that were imported, newest first."""
    return session.execute(UPLOADS, {"owner_id": user_id, "limit": limit}).all()


def imported_before(session: Session, sha256: bytes) -> Any:
    """Who imported the same file last, and when; None when nobody did."""
    return session.execute(IMPORTED_BEFORE, {"sha256": sha256}).one_or_none()
