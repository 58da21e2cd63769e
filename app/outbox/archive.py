"""Archiving: a partition of the log becomes a file that was read back, and then leaves the log.

A file is CSV under gzip with a manifest beside it, in `OUTBOX_ARCHIVE_DIR` or, where that is not
set, `$ATES_DATA/archive`. Its name ends with the
hash of its content, so that no file is ever written over by another. The order makes it safe to
die anywhere: the file is complete and on disk before the one transaction that takes the partition
out of the log and notes the file. Who died before that leaves a file that the next run makes again,
byte for byte; who died after it has archived.

A folder that is named has to be there, and to hold what was archived last: one that is not mounted,
or is another machine's, is refused rather than written to.

It works as the owner of the tables: the application's role may neither delete nor drop. By the
clock it is done by whichever worker is told the folder and the owner's address.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import structlog
from psycopg import errors as pg
from psycopg import sql

from app.kernel.errors import AtesError, Unavailable
from app.kernel.settings import Settings
from app.outbox.archive_files import (
    COLUMNS,
    Manifest,
    check_file,
    write_file,
    write_manifest,
)
from app.outbox.owner import Connection, as_owner
from app.outbox.partitions import PARTITIONS, Partition, first_due

log = structlog.get_logger(__name__)

# One archiving at a time; it is held by the connection, through several transactions.
LOCK = "SELECT pg_try_advisory_lock(7)"
LIST = PARTITIONS.format(consumers="%(consumers)s", keep_days="%(keep_days)s")
# The log's rows of a partition, always the same bytes: in order, in UTC.
EXPORT = "COPY (SELECT {columns} FROM {partition} ORDER BY xid, id) TO STDOUT (FORMAT csv, HEADER)"
# What the manifest says of a partition beside its content.
FACTS = """
SELECT count(*), count(*) FILTER (WHERE EXISTS (
         SELECT FROM logs l WHERE l.task_id = e.task_id AND l.event_id = e.event_id)),
       min(occurred_at)::text, max(occurred_at)::text
FROM {partition} e
"""
NOTE = """
UPDATE outbox_partitions SET archived_at = now(), file = %(file)s, events = %(events)s,
  file_sha256 = decode(%(file_sha256)s, 'hex'), content_sha256 = decode(%(content_sha256)s, 'hex'),
  board_events = %(board_events)s, first_at = %(first_at)s, last_at = %(last_at)s
WHERE name = %(partition)s AND archived_at IS NULL
"""
# A writer waits for this transaction at most so long, and for what it does once it has the lock.
LOCK_TIMEOUT_MS = 300
TRIES = 60
PAUSE_S = 1.0


# The newest file that the log knows of.
NEWEST = """
SELECT file FROM outbox_partitions WHERE archived_at IS NOT NULL
ORDER BY outbox_partitions.xid_from DESC LIMIT 1
"""


class ArchiveRefused(AtesError):
    """The partition stays in the log.

    What was read back is not what the partition holds, or the folder is not the archive's.
    """

    title = "The archive is not what the log holds"


def archive_due(
    settings: Settings, consumers: Sequence[str], *, tell: Callable[[Manifest], None]
) -> int:
    """Archive every partition that is due, oldest first, and `tell` each; returns how many.

    `consumers` are all who have to have read it. Raises Unavailable when another run is under way,
    the log is never free for a moment, or the role is not the owner's; ArchiveRefused; OSError.
    """
    names = {"consumers": list(consumers), "keep_days": settings.outbox_keep_days}
    folder = settings.archive_folder
    if settings.outbox_archive_dir is None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with as_owner(settings) as connection:
        row = connection.execute(LOCK).fetchone()
        if row != (True,):
            raise Unavailable("The log is being archived by somebody else")
        _check_folder(connection, folder)
        archived = 0
        while (partition := first_due(_partitions(connection, names))) is not None:
            manifest = _write(connection, partition, folder)
            _take_out(connection, partition, manifest, names)
            log.info("partition_archived", partition=partition.name, file=manifest.file)
            tell(manifest)
            archived += 1
        return archived


def archive_old(settings: Settings, consumers: Sequence[str]) -> None:
    """Archive what is due, for the schedule: what keeps it from that is logged."""
    try:
        archive_due(settings, consumers, tell=lambda _: None)
    except (AtesError, OSError) as error:
        reason = getattr(error, "message", None) or str(error)
        log.error("log_not_archived", reason=reason)  # noqa: TRY400 - it says all there is


def _check_folder(connection: Connection, folder: Path) -> None:
    """Raise ArchiveRefused unless the folder is there and holds what was archived last."""
    if not folder.is_dir():
        raise ArchiveRefused(f"There is no folder {folder}: is it mounted?")
    newest = connection.execute(NEWEST).fetchone()
    if newest is not None and not (folder / newest[0]).exists():
        raise ArchiveRefused(
            f"{folder} does not hold {newest[0]}, which was archived last: it is not mounted, or"
            " another machine's; bring the files together in one folder"
        )


def _partitions(connection: Connection, names: dict[str, Any]) -> list[Partition]:
    return [Partition(*row) for row in connection.execute(LIST, names).fetchall()]


def _write(connection: Connection, partition: Partition, folder: Path) -> Manifest:
    """Write the partition's file and manifest, and read the file back; both are on disk then."""
    facts = _facts(connection, partition)
    statement = sql.SQL(EXPORT).format(
        columns=sql.SQL(", ").join(map(sql.Identifier, COLUMNS)),
        partition=sql.Identifier(partition.name),
    )
    name = f"outbox-{partition.xid_from}-{partition.xid_to}"
    with connection.cursor() as cursor:
        with cursor.copy(statement) as rows:
            written = write_file(rows, folder, name)
        events = cursor.rowcount
    manifest = Manifest(
        partition=partition.name,
        xid_from=partition.xid_from,
        xid_to=partition.xid_to,
        file=written.path.name,
        file_sha256=written.file_sha256,
        content_sha256=written.content_sha256,
        **facts,
    )
    if events != manifest.events:
        raise ArchiveRefused(f"{events} of {manifest.events} events of {partition.name} were read")
    check_file(folder, manifest)
    write_manifest(folder, manifest)
    return manifest


def _facts(connection: Connection, partition: Partition) -> dict[str, Any]:
    statement = sql.SQL(FACTS).format(partition=sql.Identifier(partition.name))
    row = connection.execute(statement).fetchone()
    assert row is not None
    return dict(zip(("events", "board_events", "first_at", "last_at"), row, strict=True))


def _take_out(
    connection: Connection, partition: Partition, manifest: Manifest, names: dict[str, Any]
) -> None:
    """Take the partition out of the log and note its file; all or nothing.

    Waits for a moment in which nobody reads or writes the log. Raises Unavailable without one.
    """
    for _ in range(TRIES):
        try:
            with connection.transaction():
                _take_out_now(connection, partition, manifest, names)
        except pg.LockNotAvailable:
            time.sleep(PAUSE_S)
        else:
            return
    raise Unavailable("Somebody reads the log all the time: try again later")


def _take_out_now(
    connection: Connection, partition: Partition, manifest: Manifest, names: dict[str, Any]
) -> None:
    name = sql.Identifier(partition.name)
    connection.execute(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}")
    # Nobody writes to it from here on, and nobody is kept from reading while it is counted.
    connection.execute(sql.SQL("LOCK TABLE {} IN SHARE MODE").format(name))
    row = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(name)).fetchone()
    if row != (manifest.events,):
        raise ArchiveRefused(f"{partition.name} has changed since it was written to a file")
    connection.execute("LOCK TABLE ONLY outbox IN ACCESS EXCLUSIVE MODE")
    due = first_due(_partitions(connection, names))
    if due is None or due.name != partition.name:
        raise ArchiveRefused(f"{partition.name} is not due any more")
    noted = connection.execute(NOTE, asdict(manifest)).rowcount
    assert noted == 1, partition.name
    connection.execute(sql.SQL("ALTER TABLE outbox DETACH PARTITION {}").format(name))
    connection.execute(sql.SQL("DROP TABLE {}").format(name))
