"""Exports above a page: asked for in one transaction, made by a worker, seen in progress.

The file is written into the data folder, under a name of its own for each attempt, and given to
the export when it is whole. A worker that dies leaves a lease that ends: the next makes it anew.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy.orm import Session

from app.accounting import spreadsheet
from app.accounting.queries import (
    LedgerFilter,
    Lines,
    Totals,
    clock_words,
    export_transfers,
    totals,
    transfer_lines,
)
from app.accounting.queries.exports import filter_as_json, filter_from_json
from app.kernel import audit, settings
from app.kernel.actor import Actor
from app.kernel.db import command, db, sql
from app.kernel.errors import BadInput
from app.kernel.money import decimal_string

log = structlog.get_logger(__name__)

# Longer than it takes to put a spreadsheet of a million rows together once they are all read.
LEASE_S = 120
MAX_ATTEMPTS = 3
KEEP_DAYS = 7
PROGRESS_EVERY_S = 0.5
ERROR_MAX_LENGTH = 300
SUMS = tuple(field.name for field in fields(Totals))

REQUEST = sql("""
INSERT INTO exports (requested_by, format, filter, rows_total)
VALUES (:user_id, :format, CAST(:filter AS jsonb), :rows) RETURNING id
""")
# Takes the next export: one that waits, or one whose maker died with it.
LEASE = sql("""
UPDATE exports SET state = 'running', attempts = attempts + 1, rows_done = 0,
  leased_until = now() + make_interval(secs => :lease_s)
WHERE id = (SELECT id FROM exports
            WHERE state = 'queued' OR (state = 'running' AND leased_until < now())
            ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING id, format, filter, attempts
""")
PROGRESS = sql("""
UPDATE exports SET rows_done = :rows, leased_until = now() + make_interval(secs => :lease_s)
WHERE id = :id AND state = 'running' AND attempts = :attempts
""")
DONE = sql("""
UPDATE exports SET state = 'done', rows_done = :rows, size_bytes = :size, leased_until = NULL,
  finished_at = now()
WHERE id = :id AND state = 'running' AND attempts = :attempts
""")
FAILED = sql("""
UPDATE exports SET leased_until = NULL, error = :error,
  state = CASE WHEN attempts < :most THEN 'queued'::export_state ELSE 'failed' END,
  finished_at = CASE WHEN attempts < :most THEN NULL ELSE now() END
WHERE id = :id AND state = 'running' AND attempts = :attempts
""")
FORGET = sql("""
DELETE FROM exports WHERE finished_at < now() - make_interval(days => :days) RETURNING id
""")


class LeaseLost(Exception):
    """Another worker makes this export now."""


@command
def request_export(session: Session, actor: Actor, wanted: LedgerFilter, *, format: str) -> int:  # noqa: A002 - its name everywhere
    """Ask for all transfers of a filter as a file, `csv` or `xlsx`; returns the export's id."""
    actor.require("see_all_transfers")
    if format not in spreadsheet.WRITERS:
        raise BadInput(fields={"format": "csv or xlsx"})
    kept = filter_as_json(wanted)
    rows = totals(session, wanted).transfers
    names = {"user_id": actor.user_id, "format": format, "filter": json.dumps(kept), "rows": rows}
    export_id = int(session.execute(REQUEST, names).scalar_one())
    audit.record(session, "export", actor_id=actor.user_id, details=kept | {"format": format})
    return export_id


def make_exports() -> int:
    """Make every export that waits; returns how many were made."""
    made = 0
    while (lease := _lease()) is not None:
        made += _make(lease)
    _forget_old()
    return made


def export_file(export_id: int, format: str) -> Path:  # noqa: A002 - its name everywhere
    """Where the file of an export that is done lies."""
    return _folder() / f"{export_id}.{format}"


def about(session: Session, wanted: LedgerFilter, sums: Totals) -> Mapping[str, str]:
    """What a file says of itself: its filter, when it was made, and its sums."""
    shown = {name: value for name, value in filter_as_json(wanted).items() if value}
    return {
        "filter": ", ".join(f"{name}={value}" for name, value in shown.items()),
        "made": clock_words(session),
        "currency": settings.current().currency,
        "transfers": str(sums.transfers),
        "fees": decimal_string(sums.fees),
        "rewards": decimal_string(sums.rewards),
        "corrections": decimal_string(sums.corrections),
        "income": decimal_string(sums.income),
        "payouts": decimal_string(sums.payouts),
        "payouts_reversed": decimal_string(sums.payouts_reversed),
        "change": decimal_string(sums.delta),
    }


def write_transfers(
    session: Session,
    path: Path,
    wanted: LedgerFilter,
    *,
    format: str,  # noqa: A002 - its name everywhere
    progress: spreadsheet.Progress | None = None,
) -> int:
    """Write all transfers of the filter into `path`; returns the rows."""
    if format == "csv":
        return _write_lines(session, path, wanted, progress)
    sums = dict.fromkeys(SUMS, 0)

    def rows() -> Iterator[tuple[spreadsheet.Cell, ...]]:
        for row in export_transfers(session, wanted):
            for name, value in row.sums:
                sums[name] += value
            yield spreadsheet.cells(row)

    def said() -> Mapping[str, str]:
        words = about(session, wanted, Totals(**sums))
        session.rollback()  # nothing is read while the file is put together
        return words

    return spreadsheet.write_xlsx(path, spreadsheet.COLUMNS, rows(), about=said, progress=progress)


def _write_lines(
    session: Session, path: Path, wanted: LedgerFilter, progress: spreadsheet.Progress | None
) -> int:
    sums = Totals()

    def chunks() -> Iterator[Lines]:
        nonlocal sums
        for lines in transfer_lines(session, wanted):
            sums += lines.sums
            yield lines

    return spreadsheet.write_lines(
        path,
        spreadsheet.COLUMNS,
        chunks(),
        about=lambda: about(session, wanted, sums),
        progress=progress,
    )


@command
def _lease(session: Session) -> Any:
    return session.execute(LEASE, {"lease_s": LEASE_S}).one_or_none()


def _make(lease: Any) -> bool:
    final = export_file(lease.id, lease.format)
    unfinished = final.with_name(f".{lease.id}.{lease.attempts}.{lease.format}")
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        rows = write_transfers(
            db.session(),
            unfinished,
            filter_from_json(lease.filter),
            format=lease.format,
            progress=_Progress(lease),
        )
        unfinished.replace(final)
        _finish(lease, rows, final.stat().st_size)
    except LeaseLost:
        return False
    except Exception as error:
        log.exception("export_failed", export_id=lease.id)
        db.session().rollback()
        _fail(lease, f"{type(error).__name__}: {error}"[:ERROR_MAX_LENGTH])
        return False
    finally:
        unfinished.unlink(missing_ok=True)
    return True


class _Progress:
    """Tells the export how far it is, twice a second, and keeps the lease."""

    def __init__(self, lease: Any) -> None:
        self._lease = lease
        self._told_at = time.monotonic()

    def __call__(self, rows: int) -> None:
        if time.monotonic() - self._told_at < PROGRESS_EVERY_S:
            return
        self._told_at = time.monotonic()
        db.session().rollback()  # the read transaction of the rows so far
        if not _tell(self._lease, rows):
            raise LeaseLost


@command
def _tell(session: Session, lease: Any, rows: int) -> bool:
    names = {"id": lease.id, "attempts": lease.attempts, "rows": rows, "lease_s": LEASE_S}
    return bool(session.execute(PROGRESS, names).rowcount)  # type: ignore[attr-defined]


@command
def _finish(session: Session, lease: Any, rows: int, size: int) -> None:
    names = {"id": lease.id, "attempts": lease.attempts, "rows": rows, "size": size}
    session.execute(DONE, names)


@command
def _fail(session: Session, lease: Any, error: str) -> None:
    names = {"id": lease.id, "attempts": lease.attempts, "error": error, "most": MAX_ATTEMPTS}
    session.execute(FAILED, names)


def _forget_old() -> None:
    for export_id in _forget():
        for path in _folder().glob(f"{export_id}.*"):
            path.unlink(missing_ok=True)


@command
def _forget(session: Session) -> list[int]:
    return list(session.execute(FORGET, {"days": KEEP_DAYS}).scalars())


def _folder() -> Path:
    return settings.current().data_dir / "exports"
