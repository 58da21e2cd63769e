"""Rebase: make a log that comes from elsewhere go on here, with nothing lost and nothing doubled.

The log and the ledger are ordered by transaction ids. A server that a dump was loaded into gives
smaller ones, which would lie behind the cursors and be stepped over. No row is touched: `log_xid()`
(migration 0018) is made to add what the log is ahead by, so that whatever is written from now on
comes after all there is. The cursors stay where they are, and their epoch tells whoever remembers a
place in the log that it went another way. Seals hold, since no transfer changes.

A cursor that names no event (the log was restored from an older backup than the cursors, or
somebody moved it) goes back to the beginning: everything is delivered again, and the ledger takes
each event once. Doing all of this again changes nothing but the epoch.
"""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import errors as pg
from psycopg import sql

from app.kernel.errors import Unavailable
from app.kernel.settings import Settings
from app.outbox.owner import Connection, as_owner

LOCK_TIMEOUT_MS = 10_000
# Waits for the changes under way and refuses new ones: the lock of the stop's fence. Then nobody
# holds the log's tables for more than a moment; a statement that was planned with the old
# `log_xid()` holds them too, and is refused.
FENCE = "SELECT pg_advisory_xact_lock(4)"
LOCK_TABLES = (
    "LOCK TABLE outbox_cursors IN ACCESS EXCLUSIVE MODE",
    "LOCK TABLE outbox, account_transfers IN SHARE ROW EXCLUSIVE MODE",
)
LOST_CURSORS = """
UPDATE outbox_cursors c SET xid = '0', id = 0 WHERE id > 0 AND NOT EXISTS (
  SELECT FROM outbox o WHERE o.xid = c.xid AND o.id = c.id)
RETURNING consumer
"""
# The newest transaction of the log and the ledger (a cursor may begin between events), whether
# this server has yet to give it, and the oldest that it can still write under: some may be under
# way that have written nothing here yet.
PLACE = """
SELECT n.newest::text::bigint, n.newest >= log_xid(pg_snapshot_xmax(pg_current_snapshot())),
       pg_snapshot_xmin(pg_current_snapshot())::text::bigint, log_xid('0')::text::bigint
FROM (SELECT greatest(
        (SELECT xid FROM outbox ORDER BY xid DESC, id DESC LIMIT 1),
        (SELECT xid FROM account_transfers ORDER BY xid DESC LIMIT 1),
        (SELECT last_xid FROM ledger_blocks ORDER BY id DESC LIMIT 1),
        (SELECT max(xid) FROM outbox_cursors),
        (SELECT max(xid_to) FROM outbox_partitions WHERE archived_at IS NOT NULL), '0') AS newest
     ) AS n
"""
AHEAD = """
CREATE OR REPLACE FUNCTION log_xid(server xid8) RETURNS xid8
  LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE RETURN (server::text::bigint + {ahead})::text::xid8
"""
NEXT_EPOCH = "UPDATE outbox_cursors SET epoch = epoch + 1 RETURNING epoch"
# The guardian looks at what is written from now on, and again at what is delivered again.
GUARDIAN_TRANSFERS = """
UPDATE guardian_rounds SET transfers_below = least(transfers_below, CAST(%s::text AS xid8))
"""
GUARDIAN_EVENTS = """
UPDATE guardian_rounds r SET events_xid = c.xid, events_id = c.id FROM outbox_cursors c
WHERE c.consumer = 'accounting' AND (r.events_xid, r.events_id) > (c.xid, c.id)
"""
RECORD = """
INSERT INTO audit_log (action, result, details) VALUES ('rebase_log', 'done',
  jsonb_build_object('epoch', %s::int, 'ahead', %s::bigint, 'cursors', %s::text[]))
"""
MAKE = "SELECT make_outbox_partition()"


@dataclass(frozen=True, slots=True)
class Rebased:
    """What a rebase did: how far the log is ahead of the server, and by how much that grew.

    The cursors are in `epoch` now (None without any); those of `lost_cursors` named no event.
    """

    ahead: int
    grew_by: int
    epoch: int | None
    lost_cursors: tuple[str, ...]


def rebase(settings: Settings) -> Rebased:
    """Make the log go on here.

    Raises Unavailable when changes under way do not end, or the role is not the owner's.
    """
    with as_owner(settings) as connection:
        try:
            with connection.transaction():
                done = _rebase(connection)
        except pg.LockNotAvailable as error:
            raise Unavailable("Changes are under way that do not end: try again") from error
        connection.execute(MAKE)
        return done


def _rebase(connection: Connection) -> Rebased:
    connection.execute(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}")
    for lock in (FENCE, *LOCK_TABLES):
        connection.execute(lock)
    # The cursors are fenced too, against everybody but this.
    connection.execute("ALTER TABLE outbox_cursors DISABLE TRIGGER outbox_cursors_fence")
    lost = tuple(row[0] for row in connection.execute(LOST_CURSORS).fetchall())
    row = connection.execute(PLACE).fetchone()
    assert row is not None
    newest, is_ahead, next_here, ahead_before = row
    ahead = newest + 1 - next_here if is_ahead else ahead_before
    if is_ahead:
        connection.execute(sql.SQL(AHEAD).format(ahead=sql.Literal(ahead)))
    epochs = [row[0] for row in connection.execute(NEXT_EPOCH).fetchall()]
    connection.execute(GUARDIAN_TRANSFERS, [newest + 1])
    connection.execute(GUARDIAN_EVENTS)
    connection.execute("ALTER TABLE outbox_cursors ENABLE TRIGGER outbox_cursors_fence")
    epoch = max(epochs, default=None)
    connection.execute(RECORD, [epoch, ahead, list(lost)])
    return Rebased(ahead, ahead - ahead_before, epoch, lost)
