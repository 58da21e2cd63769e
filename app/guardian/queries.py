"""Reads of the guardian's pages: checks and findings, the flow of events, dead letters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from app.kernel.db import sql

LETTERS = 200
STORY_ENTRIES = 20

# The last result of each check and scope, and beside it what the check found and is not clean yet.
RESULTS = sql("""
SELECT coalesce(r.check_name, f.check_name) AS check_name, r.scope, r.checked_at, r.ms,
       r.rows_found, r.error, f.id AS finding_id, f.is_money, f.evidence,
       f.rows_found AS finding_rows, f.first_seen_at, f.last_seen_at, f.found_by, f.accepted_at,
       f.accepted_rows
FROM guardian_results r
FULL JOIN (SELECT * FROM guardian_findings WHERE resolved_at IS NULL) AS f
  ON f.check_name = r.check_name
ORDER BY f.is_money DESC NULLS LAST, f.id, r.check_name
""")
# When each kind of round ended last, by the database's clock.
ROUNDS = sql("""
SELECT scope, finished_at, rounds, ms,
       extract(epoch FROM now() - finished_at)::double precision AS age_s
FROM guardian_rounds
""")
TICKS = sql("""
SELECT name, max(claimed_at) AS last_at,
       extract(epoch FROM now() - max(claimed_at))::double precision AS age_s
FROM schedule_ticks WHERE tick > now() - interval '2 days' GROUP BY name ORDER BY name
""")
DATABASE = sql("""
SELECT current_setting('server_version') AS version, pg_is_in_recovery() AS is_standby,
       (SELECT count(*) FROM pg_stat_replication) AS standbys,
       current_setting('synchronous_standby_names') AS synchronous,
       extract(epoch FROM now() - oldest_transaction_started_at())::double precision
         AS oldest_transaction_s,
       round(pg_database_size(current_database()) / 1048576.0)::bigint AS megabytes
""")
ALERTS = sql("""
SELECT at, kind, subject, mailed_at, posted_at, attempts, last_error
FROM alerts ORDER BY id DESC LIMIT :limit
""")
DECISIONS = sql("""
SELECT l.at, l.action, u.login AS actor_login, l.details FROM audit_log l
LEFT JOIN users u ON u.id = l.actor_id
WHERE l.action IN ('stop', 'resume', 'retry_dead_letters', 'discard_dead_letters')
ORDER BY l.id DESC LIMIT :limit
""")
# What tells that a page of the system has something new: rounds of the guardian, events of the log,
# batches of the consumers, stops, and dead letters.
VERSION = sql("""
SELECT (SELECT coalesce(sum(rounds), 0) FROM guardian_rounds)::bigint AS rounds,
       (SELECT concat_ws('.', xid, id) FROM outbox ORDER BY xid DESC, id DESC LIMIT 1) AS newest,
       (SELECT coalesce(sum(batches), 0) FROM outbox_cursors)::bigint AS batches,
       (SELECT count(*) FROM dead_letters WHERE state = 'parked') AS parked
""")
EVENT = sql("""
SELECT o.xid::text AS xid, o.id, o.event_id, o.type, o.schema_version, o.task_id, o.user_id,
       o.actor_id, o.occurred_at, o.payload, o.traceparent, u.login AS user_login,
       a.login AS actor_login, k.name AS task_name, k.ticket_key
FROM outbox o
LEFT JOIN users u ON u.id = o.user_id
LEFT JOIN users a ON a.id = o.actor_id
LEFT JOIN tasks k ON k.id = o.task_id
WHERE o.event_id = :event_id ORDER BY o.xid, o.id LIMIT 1
""")
# An event that is in the log no more, of which the ledger or a dead letter knows: the archive that
# holds it.
ARCHIVED_EVENT = sql("""
SELECT k.event_id, k.type, p.file, p.archived_at, p.xid_from::text AS xid_from,
       p.xid_to::text AS xid_to
FROM (
  SELECT t.event_id, NULL AS type, t.timestamp AS occurred_at, NULL::xid8 AS xid
  FROM account_transfers t WHERE t.event_id = :event_id
  UNION ALL
  SELECT d.event_id, d.type, NULL, d.xid FROM dead_letters d WHERE d.event_id = :event_id) AS k
JOIN outbox_partitions p ON p.archived_at IS NOT NULL AND (
  k.occurred_at BETWEEN p.first_at AND p.last_at OR (k.xid >= p.xid_from AND k.xid < p.xid_to))
ORDER BY k.xid NULLS LAST, p.xid_from LIMIT 1
""")
# How much is archived, and until when: NULL when nothing is.
ARCHIVED = sql("""
SELECT count(*) AS archives, coalesce(sum(events), 0)::bigint AS events, max(last_at) AS last_at
FROM outbox_partitions WHERE archived_at IS NOT NULL
""")
# What the event made in the ledger.
TRANSFERS_OF = sql("""
SELECT t.id, t.kind::text, t.amount, t.delta_balance, t.balance_after, t.business_day, t.late,
       t.recorded_at, u.id AS user_id, u.login
FROM account_transfers t
JOIN accounts a ON a.id = t.owner_account_id JOIN users u ON u.id = a.user_id
WHERE t.event_id = :event_id
""")
# Where each consumer stands to the event: it has read it, or not yet, or parked it.
CONSUMERS_OF = sql("""
SELECT c.consumer, (o.xid, o.id) <= (c.xid, c.id) AS has_read, d.state::text AS letter_state,
       d.cause
FROM outbox o CROSS JOIN outbox_cursors c
LEFT JOIN dead_letters d ON d.consumer = c.consumer AND d.xid = o.xid AND d.outbox_id = o.id
WHERE o.event_id = :event_id ORDER BY c.consumer
""")
LETTERS_OF = sql("""
SELECT d.id, d.consumer, d.event_id, d.type, d.cause, d.fingerprint, d.state::text, d.attempts,
       d.parked_at, d.retry_at, d.settled_at, d.reason, u.login AS settled_by, o.payload,
       o.task_id, o.user_id, o.schema_version
FROM dead_letters d
LEFT JOIN outbox o ON o.xid = d.xid AND o.id = d.outbox_id
LEFT JOIN users u ON u.id = d.settled_by
WHERE (d.state = 'parked') = :parked
ORDER BY d.id DESC LIMIT :limit
""")
PARKED_OF = sql("""
SELECT id, consumer FROM dead_letters
WHERE state = 'parked' AND fingerprint = :fingerprint AND consumer = :consumer
ORDER BY id LIMIT :limit
""")


def check_results(session: Session) -> tuple[dict[tuple[str, str], Any], dict[str, Any]]:
    """The last result of each check, by its name and scope; and by name what is not clean yet.

    Findings of money come first.
    """
    rows = session.execute(RESULTS).all()
    results = {(row.check_name, row.scope): row for row in rows if row.scope}
    return results, {row.check_name: row for row in rows if row.finding_id}


def rounds(session: Session) -> dict[str, Any]:
    """When the guardian's last round of each scope ended, and how long ago (None: never)."""
    return {row.scope: row for row in session.execute(ROUNDS)}


def ticks(session: Session) -> Sequence[Any]:
    """When each job of the schedule ran last."""
    return session.execute(TICKS).all()


def database(session: Session) -> Any:
    """Version, standbys, size, and the age of the oldest transaction in seconds or None."""
    return session.execute(DATABASE).one()


def alerts(session: Session, limit: int = 10) -> Sequence[Any]:
    """The newest alerts and whether they were told."""
    return session.execute(ALERTS, {"limit": limit}).all()


def decisions(session: Session, limit: int = 10) -> Sequence[Any]:
    """The newest stops, resumes and decisions about dead letters."""
    return session.execute(DECISIONS, {"limit": limit}).all()


def version(session: Session) -> Any:
    """`rounds`, `newest` event, `batches`, `parked` letters: each changes with what it counts."""
    return session.execute(VERSION).one()


def event(session: Session, event_id: UUID) -> Any:
    """One event and whom it concerns, or None."""
    return session.execute(EVENT, {"event_id": event_id}).one_or_none()


def archived_event(session: Session, event_id: UUID) -> Any:
    """The archive that holds an event of which something here still tells, or None."""
    return session.execute(ARCHIVED_EVENT, {"event_id": event_id}).one_or_none()


def archived(session: Session) -> Any:
    """How many `archives` hold how many `events`, the newest of which occurred at `last_at`."""
    return session.execute(ARCHIVED).one()


def transfers_of(session: Session, event_id: UUID) -> Sequence[Any]:
    """The transfers that the event made."""
    return session.execute(TRANSFERS_OF, {"event_id": event_id}).all()


def consumers_of(session: Session, event_id: UUID) -> Sequence[Any]:
    """How each consumer stands to the event."""
    return session.execute(CONSUMERS_OF, {"event_id": event_id}).all()


def letters(session: Session, *, parked: bool) -> Sequence[Any]:
    """Dead letters that are parked, or that were settled; the newest LETTERS of them."""
    return session.execute(LETTERS_OF, {"parked": parked, "limit": LETTERS}).all()


def parked_of(session: Session, consumer: str, fingerprint: str) -> list[int]:
    """The ids of the parked letters of one kind, oldest first, at most LETTERS."""
    names = {"fingerprint": fingerprint, "consumer": consumer, "limit": LETTERS}
    return [row.id for row in session.execute(PARKED_OF, names)]
