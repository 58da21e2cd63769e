"""A backlog that is uploaded waits as a draft until its owner imports or discards it."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from sqlalchemy.orm import Session

from app.kernel.actor import Actor
from app.kernel.db import command, sql
from app.kernel.errors import Conflict, NotFound
from app.kernel.messages import Said, said
from app.tasks.commands.assigning import create_tasks
from app.tasks.imports import Backlog, Fault, parse_backlog, tasks_in
from app.tasks.models import split_name

UPLOAD_MAX_BYTES = 5 * 1024 * 1024
UPLOAD_MAX_TASKS = 20_000
WAITING_MAX = 10
FILE_NAME_MAX_LENGTH = 200
FIRST_TASKS = 10
FIRST_WORDS = 160
COLUMNS_SHOWN = 30
COLUMN_WORDS = 60

WAITING = sql("""
SELECT count(*) FROM imports
WHERE owner_id = :owner_id AND at IS NULL AND expires_at > now() AND sha256 <> :sha256
""")
# Keeps a file for a day; the same file that waits already is that one, and waits a day more.
KEEP = sql("""
INSERT INTO imports (owner_id, file_name, size_bytes, sha256, content, tasks, faults, preview)
VALUES (:owner_id, :file_name, :size_bytes, :sha256, :content, :tasks, :faults,
        CAST(:preview AS jsonb))
ON CONFLICT (owner_id, sha256) WHERE at IS NULL
  DO UPDATE SET file_name = excluded.file_name, expires_at = excluded.expires_at
RETURNING id
""")
# Locked, so that of two who import it at once the second finds it imported.
LOCK_UPLOAD = sql("""
SELECT content, at FROM imports
WHERE id = :id AND owner_id = :owner_id AND (at IS NOT NULL OR expires_at > now()) FOR UPDATE
""")
IMPORTED = sql("""
UPDATE imports SET content = NULL, at = business_now(), xid = log_xid(pg_current_xact_id())
WHERE id = :id
""")
DISCARD = sql("DELETE FROM imports WHERE id = :id AND owner_id = :owner_id AND at IS NULL")
PRUNE = sql("DELETE FROM imports WHERE at IS NULL AND expires_at < now()")


def upload_backlog(actor: Actor, *, file_name: str, content: bytes) -> int:
    """Keep a CSV file of at most UPLOAD_MAX_BYTES until it is imported; returns the import's id.

    Rows that are bad are kept with it, to be shown. Raises BadFile for what is no such file,
    Conflict when too many files of the actor's wait.
    """
    actor.require("import_tasks")
    assert len(content) <= UPLOAD_MAX_BYTES
    backlog = parse_backlog(content, max_rows=UPLOAD_MAX_TASKS)
    return _keep(actor, backlog, file_name=file_name, content=content)


@command
def _keep(
    session: Session, actor: Actor, backlog: Backlog, *, file_name: str, content: bytes
) -> int:
    own = {"owner_id": actor.user_id, "sha256": hashlib.sha256(content).digest()}
    if session.execute(WAITING, own).scalar_one() >= WAITING_MAX:
        raise Conflict(
            said("%(count)s files wait already: import or discard one first", count=WAITING_MAX)
        )
    names = {
        **own,
        "file_name": file_name[:FILE_NAME_MAX_LENGTH],
        "size_bytes": len(content),
        "content": content,
        "tasks": len(backlog.drafts),
        "faults": len(backlog.faults),
        "preview": json.dumps(_preview(backlog)),
    }
    return int(session.execute(KEEP, names).scalar_one())


@command
def import_backlog(session: Session, actor: Actor, import_id: int) -> None:
    """Create every task of an uploaded file of the actor's, once: a second time changes nothing.

    Raises NotFound, BadFile when a row is bad, Conflict when nobody can be assigned.
    """
    actor.require("import_tasks")
    row = session.execute(LOCK_UPLOAD, {"id": import_id, "owner_id": actor.user_id}).one_or_none()
    if row is None:
        raise NotFound("There is no such file: it was discarded, or waited longer than a day")
    if row.at is not None:
        return
    create_tasks(actor, tasks_in(row.content, max_rows=UPLOAD_MAX_TASKS))
    session.execute(IMPORTED, {"id": import_id})


@command
def discard_upload(session: Session, actor: Actor, import_id: int) -> None:
    """Forget an uploaded file that was not imported. Raises NotFound when there is none."""
    actor.require("import_tasks")
    found = session.execute(DISCARD, {"id": import_id, "owner_id": actor.user_id})
    if not found.rowcount:  # type: ignore[attr-defined]
        raise NotFound("There is no such file: it was discarded, or waited longer than a day")


@command
def prune_uploads(session: Session) -> int:
    """Forget the files that nobody imported in time; returns how many."""
    return int(session.execute(PRUNE).rowcount)  # type: ignore[attr-defined]


def _preview(backlog: Backlog) -> dict[str, Any]:
    """What the page of an upload shows of it, bounded."""
    return {
        "used": [name[:COLUMN_WORDS] for name in backlog.used],
        "ignored": [name[:COLUMN_WORDS] for name in backlog.ignored[:COLUMNS_SHOWN]],
        "ignored_count": len(backlog.ignored),
        "first": [
            [*split_name(draft.name), draft.description[:FIRST_WORDS]]
            for draft in backlog.drafts[:FIRST_TASKS]
        ],
        "faults": [_kept(fault) for fault in backlog.faults],
    }


def _kept(fault: Fault) -> dict[str, Any]:
    """A fault with what its message was made of: whoever reads it later has a language."""
    what = fault.what if isinstance(fault.what, Said) else said(fault.what)
    column = fault.column and fault.column[:COLUMN_WORDS]
    return {
        "line": fault.line,
        "column": column,
        "template": what.template,
        "names": what.names,
    }
