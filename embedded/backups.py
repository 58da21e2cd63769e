"""Base backups, the archive of the log, and a restore to a point in time."""

import shutil
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg

from embedded import folders, pgdata
from embedded.errors import EmbeddedError
from embedded.node import Node
from embedded.pgdata import program

# A backup is named for the second in which it was complete, or the one after.
NAME = "%Y%m%dT%H%M%SZ"
ARCHIVED_S = 30.0
RECOVERED_S = 600.0
# After a restore the log goes another way than the one it comes from: whoever remembers a place in
# it, by epoch, transaction and id, can tell. The cursors went back with the log, in one piece.
NEXT_EPOCH = "UPDATE outbox_cursors SET epoch = epoch + 1"
BEYOND_THE_LOG = """
SELECT string_agg(c.consumer, ', ') FROM outbox_cursors c
WHERE c.id > 0 AND NOT EXISTS (SELECT FROM outbox o WHERE (o.xid, o.id) = (c.xid, c.id))
"""


def make_archive(node: Node) -> None:
    """Make the folder for the log's segments, which both nodes write to."""
    node.archive.mkdir(mode=0o700, exist_ok=True)
    node.own(node.archive)
    if node.user:
        folders.let_pass(node.user, node.archive.parent)


def back_up(primary: Node, data_dir: Path) -> Path:
    """Copy a running node, verify the copy, and return where it is. Raises EmbeddedError."""
    folder = data_dir / "cluster" / "backups"
    folder.mkdir(mode=0o700, exist_ok=True)
    primary.own(folder)
    copy = folder / "unverified"
    shutil.rmtree(copy, ignore_errors=True)
    primary.copy_from(primary, into=copy)
    primary.run_tool("pg_verifybackup", str(copy))
    return copy.rename(folder / f"{datetime.now(UTC) + timedelta(seconds=1):{NAME}}")


def archive_now(primary: Node) -> None:
    """Have all that was written so far in the archive. Raises EmbeddedError."""
    with primary.connect() as connection:
        # A commit by whose time a recovery sees that it has gone far enough.
        connection.execute("SELECT pg_current_xact_id()")
        row = connection.execute("SELECT pg_walfile_name(pg_switch_wal())").fetchone()
    assert row
    deadline = time.monotonic() + ARCHIVED_S
    while not (primary.archive / row[0]).exists():
        if time.monotonic() > deadline:
            raise EmbeddedError(f"Segment {row[0]} is not archived: see the server's log.")
        time.sleep(0.1)


def restore(data_dir: Path, *, to: str, into: Path, primary: Node | None) -> Node:
    """Start, in the new folder `into`, a copy of the cluster as of the moment `to`.

    While there is a `primary`, the newest that it wrote is archived first.

    It begins at the newest backup before that moment and replays the archive up to it. The
    cursors' epoch is raised, also where changes were stopped at that moment: the copy is stopped
    too then. Raises EmbeddedError.
    """
    source, moment = Node(data_dir, "a"), _moment(to)
    if into.exists():
        raise EmbeddedError(f"{into} is there already: name a new folder.")
    if moment > datetime.now(UTC):
        raise EmbeddedError(f"{moment} has not come yet.")
    if primary:
        archive_now(primary)
    node = Node(into, "restored")
    node.data_dir.mkdir(mode=0o700, parents=True)
    shutil.copytree(source.data_dir / "secrets", node.data_dir / "secrets")
    shutil.copytree(_backup_before(data_dir, moment), node.pgdata)
    node.archive, node.user = source.archive, pgdata.server_user(source.pgdata)
    for path in [node.pgdata, *node.pgdata.rglob("*")]:
        node.own(path)
    node.recover(moment, timeout_s=RECOVERED_S)
    with psycopg.connect(node.superuser_url("ates"), autocommit=True) as connection:
        set_cursors_right(connection)
    return node


def set_cursors_right(connection: psycopg.Connection) -> None:
    """Raise the epoch of the cursors, as a superuser. Raises EmbeddedError for one beyond the log.

    The fence of an emergency stop is for what a company does; this is not, and passes it.
    """
    if connection.execute("SELECT to_regclass('outbox_cursors')").fetchone() == (None,):
        return
    row = connection.execute(BEYOND_THE_LOG).fetchone()
    if row and row[0]:
        raise EmbeddedError(f"The cursors of {row[0]} are beyond the log: restore another moment.")
    with connection.transaction():
        connection.execute("SET LOCAL session_replication_role = replica")
        connection.execute(NEXT_EPOCH)


def how_to_stop(node: Node) -> str:
    """The command that stops a restored copy."""
    who = f"runuser -u {node.user.pw_name} -- " if node.user else ""
    return f"{who}{program('pg_ctl')} stop --pgdata {node.pgdata}"


def _backup_before(data_dir: Path, moment: datetime) -> Path:
    """The newest backup that was complete at `moment`."""
    found = sorted((data_dir / "cluster" / "backups").glob("*Z"))
    usable = [path for path in found if path.name <= f"{moment.astimezone(UTC):{NAME}}"]
    if not usable:
        first = found[0].name if found else "none"
        raise EmbeddedError(f"There is no backup from before {moment}: the first is {first}.")
    return usable[-1]


def _moment(words: str) -> datetime:
    try:
        moment = datetime.fromisoformat(words)
    except ValueError as error:
        raise EmbeddedError(f"{words!r} is no time such as 2026-11-23 18:30:00+00:00.") from error
    if moment.tzinfo is None:
        raise EmbeddedError(f"{words!r} has no time zone: write +00:00 behind it.")
    return moment
