"""The relay: delivers the log to a consumer, a batch a transaction, in the order of the log.

One transaction locks the consumer's cursor (that lock elects the one relay), reads the events
beyond it in a fresh snapshot, lets the consumer post them, and moves the cursor. A crash anywhere
rolls back all of it: nothing was claimed, so there is nothing to recover.

Events become visible out of the order of their ids, since transactions commit out of order. So
the log is read by transaction id, and only below the oldest transaction still running: whatever
is there will not change any more.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from app.events import EVENTS, Event, MalformedEvent, StoredEvent, read
from app.kernel.db import command, sql

log = structlog.get_logger(__name__)

BATCH = 4_000
LOOK_AGAIN_S = 0.01
LOOK_AGAIN_MAX_S = 0.05
CAUSE_MAX_LENGTH = 2_000
_KNOWN_TYPES = frozenset(event.__name__ for event in EVENTS)

Post = Callable[[Session, Sequence[Event]], None]


@dataclass(frozen=True, slots=True)
class Consumer:
    """A reader of the log: its name (its cursor's key), the events it hears, and how it posts.

    `batch` events at most are a transaction. While one is under way, whoever else reads the log
    does not see what was written since; so a consumer with `limit_ms` is kept short: each of its
    statements may take that long, waiting for locks included, and a batch that it refuses is
    tried again as smaller ones, a transaction each. Without it, the worker's own limits hold, and
    a refused batch is halved where it is.
    """

    name: str
    hears: tuple[type[Event], ...]
    post: Post
    batch: int = BATCH
    limit_ms: int | None = None

    @property
    def types(self) -> list[str]:
        return [event.__name__ for event in self.hears]


class BatchRefused(Exception):
    """A consumer that is kept short refused a batch: an event in it is at fault, or it is."""


@dataclass(frozen=True, slots=True)
class Drained:
    """What a drain did: events read, of which parked, and whether it stopped at a limit."""

    events: int = 0
    parked: int = 0
    in_flight: bool = False


# Keeps the transaction under way short: bounds each statement.
KEEP_SHORT = sql("""
SELECT set_config('lock_timeout', :ms, true), set_config('statement_timeout', :ms, true)
""")
# Its commit waits neither for the disk nor for a standby. What a crash takes, it takes together
# with the cursor, and it is read again; whoever commits after having seen it waits for it too.
COMMIT_AT_ONCE = sql("SELECT set_config('synchronous_commit', 'off', true)")
# Creates the cursor of a consumer that is new; it starts at the beginning of the log.
ENSURE_CURSOR = sql(
    "INSERT INTO outbox_cursors (consumer) VALUES (:consumer) ON CONFLICT DO NOTHING"
)
# Elects the relay. Waiting, not SKIP LOCKED: who skips loses the last wake-up.
LOCK_CURSOR = sql("""
SELECT xid::text AS xid, id FROM outbox_cursors WHERE consumer = :consumer FOR UPDATE
""")
# The events beyond the cursor, below the oldest running transaction, in order. The order names the
# table's columns: a bare `xid` would be the output's text, where 999 comes after 1000. The second
# condition says nothing new, but tells which partitions need not be looked at.
READ_BATCH = sql("""
SELECT xid::text::bigint AS xid, id, event_id, type, schema_version, task_id, user_id, actor_id,
       occurred_at, nullif(payload, '{}') AS payload
FROM outbox
WHERE (xid, id) > (CAST(:xid AS xid8), :id) AND xid >= CAST(:xid AS xid8)
  AND xid < log_xid(pg_snapshot_xmin(pg_current_snapshot()))
ORDER BY outbox.xid, outbox.id LIMIT :limit
""")
MOVE_CURSOR = sql("""
UPDATE outbox_cursors
SET xid = CAST(:xid AS xid8), id = :id, events = events + :events, batches = batches + 1,
    last_batch_events = :events, last_batch_ms = :ms, updated_at = now()
WHERE consumer = :consumer
""")
# Where the log ends, as far as it can be seen; some of it may be hidden from the relay yet.
END_OF_LOG = sql("""
SELECT xid::text AS xid, id FROM outbox ORDER BY outbox.xid DESC, outbox.id DESC LIMIT 1
""")
HAS_PASSED = sql("""
SELECT (xid, id) >= (CAST(:xid AS xid8), :id) FROM outbox_cursors WHERE consumer = :consumer
""")
PARK = sql("""
INSERT INTO dead_letters (consumer, event_id, xid, outbox_id, type, cause, fingerprint)
VALUES (:consumer, :event_id, CAST(:xid AS xid8), :outbox_id, :type, :cause, :fingerprint)
ON CONFLICT (consumer, xid, outbox_id) DO NOTHING
""")


def drain(
    consumer: Consumer,
    *,
    batch: int | None = None,
    patience_s: float = 2.0,
    max_batches: int = 100_000,
) -> Drained:
    """Deliver everything that waits, and stop when all of that is delivered.

    What is written meanwhile rings a bell of its own: under traffic that never ends the worker
    shall come to its other jobs. While events that wait are hidden by a running transaction, look
    again every 10 to 50 ms, for at most `patience_s`; the sweep finds them later.
    """
    end = end_of_log()
    events = parked = 0
    limit = batch or consumer.batch
    give_up_at = time.monotonic() + patience_s
    pause_s = LOOK_AGAIN_S
    for _ in range(max_batches):
        try:
            delivered, dead = deliver_batch(consumer, limit)
        except BatchRefused:
            limit = smaller(limit)
            continue
        events, parked = events + delivered, parked + dead
        if end is None or has_passed(consumer.name, end):
            return Drained(events, parked)
        if delivered:
            give_up_at, pause_s = time.monotonic() + patience_s, LOOK_AGAIN_S
            if delivered == limit:
                limit = larger(limit, batch or consumer.batch)
                continue
        if time.monotonic() >= give_up_at:
            return Drained(events, parked, in_flight=True)
        time.sleep(pause_s)
        pause_s = min(pause_s * 2, LOOK_AGAIN_MAX_S)
    return Drained(events, parked, in_flight=True)


@command
def deliver_batch(session: Session, consumer: Consumer, limit: int = BATCH) -> tuple[int, int]:
    """Deliver one batch in one transaction; returns how many events it read and parked.

    Raises BatchRefused for a consumer that is kept short, when it refuses more than one event.
    """
    started = time.monotonic()
    if keep_short(session, consumer):
        session.execute(COMMIT_AT_ONCE)
    cursor = _locked_cursor(session, consumer.name)
    stored = _read(session, cursor, limit)
    if not stored:
        return 0, 0
    heard = frozenset(consumer.types)
    parked = _post(session, consumer, [event for event in stored if event.type in heard])
    parked += _park_unknown(session, consumer, stored)
    session.execute(
        MOVE_CURSOR,
        {
            "consumer": consumer.name,
            "xid": str(stored[-1].xid),
            "id": stored[-1].id,
            "events": len(stored),
            "ms": round((time.monotonic() - started) * 1000),
        },
    )
    return len(stored), parked


def smaller(limit: int) -> int:
    """How many events to try after a batch of `limit` was refused."""
    return max(1, limit // 2)


def larger(limit: int, full: int) -> int:
    """How many events to try after a batch of `limit` was delivered, `full` at most."""
    return min(full, limit * 2)


def keep_short(session: Session, consumer: Consumer) -> bool:
    """Bound the statements of the transaction under way, if `consumer` has a limit; whether so."""
    if consumer.limit_ms is None:
        return False
    session.execute(KEEP_SHORT, {"ms": str(consumer.limit_ms)})
    return True


@command
def end_of_log(session: Session) -> tuple[str, int] | None:
    """The place of the newest event: its transaction and id."""
    row = session.execute(END_OF_LOG).one_or_none()
    return (row.xid, row.id) if row else None


@command
def has_passed(session: Session, consumer: str, place: tuple[str, int]) -> bool:
    """Whether `consumer` was given all events up to `place`."""
    names = {"consumer": consumer, "xid": place[0], "id": place[1]}
    return bool(session.execute(HAS_PASSED, names).scalar())


def _locked_cursor(session: Session, consumer: str) -> tuple[str, int]:
    row = session.execute(LOCK_CURSOR, {"consumer": consumer}).one_or_none()
    if row is None:
        session.execute(ENSURE_CURSOR, {"consumer": consumer})
        row = session.execute(LOCK_CURSOR, {"consumer": consumer}).one()
    return row.xid, row.id


def _read(session: Session, cursor: tuple[str, int], limit: int) -> list[StoredEvent]:
    rows = session.execute(READ_BATCH, {"xid": cursor[0], "id": cursor[1], "limit": limit})
    return [StoredEvent._make((*row[:9], row[9] or {})) for row in rows.all()]


def _post(session: Session, consumer: Consumer, stored: Sequence[StoredEvent]) -> int:
    """Post `stored` under a savepoint; on a failure halve it until the one at fault is parked."""
    if not stored:
        return 0
    try:
        with session.begin_nested():
            consumer.post(session, [read(event) for event in stored])
    except (MalformedEvent, DBAPIError, AssertionError, ValueError) as error:
        if isinstance(error, DBAPIError) and _is_no_event_s_fault(error):
            raise
        if len(stored) == 1:
            park(session, consumer.name, stored[0], error)
            return 1
        if consumer.limit_ms is not None:
            raise BatchRefused from error
        middle = len(stored) // 2
        return _post(session, consumer, stored[:middle]) + _post(session, consumer, stored[middle:])
    return 0


def _is_no_event_s_fault(error: DBAPIError) -> bool:
    """Connections, locks, deadlocks, resources: the batch is right, the moment is wrong."""
    sqlstate = getattr(error.orig, "sqlstate", None)
    return sqlstate is None or sqlstate[:2] in {"08", "25", "40", "53", "55", "57", "58", "XX"}


def park(session: Session, consumer: str, event: StoredEvent, error: Exception) -> None:
    """Set an event aside as a dead letter, with its cause; the log goes on without it."""
    cause = f"{type(error).__name__}: {getattr(error, 'orig', None) or error}"[:CAUSE_MAX_LENGTH]
    session.execute(
        PARK,
        {
            "consumer": consumer,
            "event_id": event.event_id,
            "xid": str(event.xid),
            "outbox_id": event.id,
            "type": event.type,
            "cause": cause,
            "fingerprint": _fingerprint(event, cause),
        },
    )
    log.error("event_parked", consumer=consumer, event_id=str(event.event_id), cause=cause)


def _fingerprint(event: StoredEvent, cause: str) -> str:
    """Equal for dead letters of the same kind: numbers and ids in the cause do not count."""
    words = "".join("#" if character.isdigit() else character for character in cause)
    text = f"{event.type}/{event.schema_version}/{words.splitlines()[0]}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _park_unknown(session: Session, consumer: Consumer, stored: Sequence[StoredEvent]) -> int:
    """Park the events of a type that nobody knows: they may be money that a newer version moves."""
    unknown = [event for event in stored if event.type not in _KNOWN_TYPES]
    for event in unknown:
        park(session, consumer.name, event, MalformedEvent(f"unknown event type {event.type}"))
    return len(unknown)
