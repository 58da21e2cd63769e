"""The files of the archive: written whole or not at all, read back, and checked.

A file is CSV under gzip. Its name has the range of transaction ids that it holds, the end
excluded, and the beginning of its content's SHA-256, so that no file is ever written over by
another one.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import psycopg
import sqlalchemy as sa
from psycopg.abc import Buffer
from sqlalchemy.orm import Session

from app.kernel.db import sql
from app.kernel.errors import AtesError

COLUMNS = (
    "xid",
    "id",
    "event_id",
    "type",
    "schema_version",
    "task_id",
    "user_id",
    "actor_id",
    "occurred_at",
    "payload",
    "traceparent",
)
COMPRESSION = 6
AS_GZIP = 31  # zlib's word for it
READ_BYTES = 1 << 18
# What is loaded in some milliseconds.
STEP_BYTES = 1 << 20

# What is archived, oldest first.
ARCHIVES = sql("""
SELECT name, xid_from::text, xid_to::text, events, board_events, file,
       encode(file_sha256, 'hex'), encode(content_sha256, 'hex'), first_at::text, last_at::text
FROM outbox_partitions WHERE archived_at IS NOT NULL ORDER BY outbox_partitions.xid_from
""")
LOAD = f"COPY {{table}} ({', '.join(COLUMNS)}) FROM STDIN (FORMAT csv)"


class ArchiveDamaged(AtesError):
    """A file of the archive is missing, or is not as it was written; the message names it."""

    title = "A file of the archive is missing or damaged"


@dataclass(frozen=True, slots=True)
class Written:
    """A file that was written, with the SHA-256 of it and of what is in it, in hexadecimal."""

    path: Path
    file_sha256: str
    content_sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an archive holds: hashes in hexadecimal, times in UTC as PostgreSQL writes them.

    `board_events` are those that an entry of the board's log names.
    """

    partition: str
    xid_from: str
    xid_to: str
    events: int
    board_events: int
    file: str
    file_sha256: str
    content_sha256: str
    first_at: str | None
    last_at: str | None


def write_file(rows: Iterable[Buffer], folder: Path, name: str) -> Written:
    """Compress `rows` into a file of the archive, whole and on disk. Raises OSError."""
    aside = folder / f"{name}.part"
    content, packed = hashlib.sha256(), hashlib.sha256()
    with aside.open("wb") as file:
        for data in _packed(rows, content):
            packed.update(data)
            file.write(data)
        file.flush()
        os.fsync(file.fileno())
        if sys.platform == "linux":  # so that reading it back asks the disk, not the memory
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    path = folder / f"{name}-{content.hexdigest()[:12]}.csv.gz"
    aside.rename(path)
    _sync(folder)
    return Written(path, packed.hexdigest(), content.hexdigest())


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write what an archive holds beside it. Raises OSError."""
    path = folder / f"{manifest.file}.json"
    aside = path.with_suffix(".part")
    with aside.open("w", encoding="utf-8") as file:
        json.dump(asdict(manifest), file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    aside.rename(path)
    _sync(folder)


def read_file(path: Path, *, file_sha256: str, content_sha256: str) -> Iterator[bytes]:
    """What is in a file; raises ArchiveDamaged, at the latest at its end, if it is another one."""
    content, packed = hashlib.sha256(), hashlib.sha256()
    for data in _unpacked(path, packed):
        content.update(data)
        yield data
    if (packed.hexdigest(), content.hexdigest()) != (file_sha256, content_sha256):
        raise ArchiveDamaged(f"Archive {path} is not as it was written")


def check_file(folder: Path, manifest: Manifest) -> None:
    """Read a file to its end. Raises ArchiveDamaged if it is missing or not as it was written."""
    for _ in _content(folder, manifest):
        pass


def archives(connection: sa.Connection | Session) -> list[Manifest]:
    """What is archived, oldest first, as the database knows it."""
    return [Manifest(*row) for row in connection.execute(ARCHIVES)]


def load_archive(
    connection: sa.Connection, folder: Path, manifest: Manifest, *, table: str
) -> None:
    """Load the events of an archive into `table`, in steps: in autocommit, a transaction each.

    Raises ArchiveDamaged naming the file that is missing, damaged, or holds other events than the
    database knows of; some of its events may be in `table` then.
    """
    loaded = 0
    driver = cast(psycopg.Connection[Any], connection.connection.driver_connection)
    with driver.cursor() as cursor:
        for lines in _steps(_content(folder, manifest)):
            with cursor.copy(LOAD.format(table=table)) as copy:
                copy.write(lines)
            loaded += cursor.rowcount
    if loaded != manifest.events:
        said = f"{loaded} events, and not {manifest.events}"
        raise ArchiveDamaged(f"Archive {folder / manifest.file} holds {said}")


def _steps(content: Iterator[bytes]) -> Iterator[bytes]:
    """The lines of a CSV without its header, about STEP_BYTES at a time."""
    waiting = b""
    is_first = True
    for data in content:
        waiting += data
        if len(waiting) < STEP_BYTES:
            continue
        lines, waiting = _whole_lines(waiting)
        yield lines.partition(b"\n")[2] if is_first else lines
        is_first = False
    yield waiting.partition(b"\n")[2] if is_first else waiting


def _whole_lines(content: bytes) -> tuple[bytes, bytes]:
    """`content` up to its last end of a line, and the rest; a quoted value may have such in it."""
    end = content.rfind(b"\n") + 1
    while content.count(b'"', 0, end) % 2:
        end = content.rfind(b"\n", 0, end - 1) + 1
    return content[:end], content[end:]


def _content(folder: Path, manifest: Manifest) -> Iterator[bytes]:
    return read_file(
        folder / manifest.file,
        file_sha256=manifest.file_sha256,
        content_sha256=manifest.content_sha256,
    )


def _packed(rows: Iterable[Buffer], content: Any) -> Iterator[bytes]:
    packer = zlib.compressobj(COMPRESSION, wbits=AS_GZIP)
    for data in rows:
        content.update(data)
        yield packer.compress(data)
    yield packer.flush()


def _unpacked(path: Path, packed: Any) -> Iterator[bytes]:
    unpacker = zlib.decompressobj(wbits=AS_GZIP)
    try:
        with path.open("rb") as file:
            while data := file.read(READ_BYTES):
                packed.update(data)
                yield unpacker.decompress(data)
    except FileNotFoundError as error:
        raise ArchiveDamaged(f"Archive {path} is missing") from error
    except (OSError, zlib.error) as error:
        raise ArchiveDamaged(f"Archive {path} cannot be read: {error}") from error
    if not unpacker.eof:
        raise ArchiveDamaged(f"Archive {path} has no end")


def _sync(folder: Path) -> None:
    """Have the names in the folder on disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
