"""Writes of Notifications: telling, marking as read, queueing digests, forgetting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy.orm import Session

from app.events import Event
from app.kernel import settings
from app.kernel.actor import Actor
from app.kernel.db import command, sql
from app.kernel.policy import POLICY
from app.notifications.models import KEEP_DAYS

# Digests go out from this hour on, by the company's time.
DIGEST_HOUR = 7
FORGET_AT_ONCE = 5_000
FORGET_ROUNDS = 200

# One teller at a time, so that ids of lines come in the order of their commits: a line that
# appeared below what somebody has read would never be news. Tables are looked up by their indexes,
# and the batch is hashed: nobody knows how many rows a CTE gives.
ONE_AT_A_TIME = sql("""
SELECT pg_advisory_xact_lock(9), set_config('enable_seqscan', 'off', true),
       set_config('enable_nestloop', 'off', true), set_config('enable_mergejoin', 'off', true)
""")
# Tells each person what a batch did to them; what was told before drops out. Whose task it was
# stands in the board's log before the entry of the event, which is append-only and in order: so
# events do not carry it, and a replay says the same. Nobody is told what they drew themselves,
# since the page shows it at once. A line that was read and says more now is unread again, with the
# few that came after it. That a correction waits is told to those who may approve it, while it
# does; what became of it to who asked, unless they decided it, or it is theirs and told as such.
TELL = sql("""
WITH heard AS MATERIALIZED (
  SELECT DISTINCT ON (e.event_id) e.event_id, e.type, e.task_id, e.user_id, e.actor_id,
         e.occurred_at, e.correction_id, before.user_id AS previous_id
  FROM unnest(CAST(:event_ids AS uuid[]), CAST(:types AS text[]), CAST(:task_ids AS bigint[]),
              CAST(:user_ids AS bigint[]), CAST(:actor_ids AS bigint[]),
              CAST(:occurred AS timestamptz[]), CAST(:correction_ids AS bigint[]))
         AS e (event_id, type, task_id, user_id, actor_id, occurred_at, correction_id)
  LEFT JOIN LATERAL (
    SELECT b.user_id FROM logs l JOIN logs b ON b.task_id = l.task_id AND b.id < l.id
    WHERE l.task_id = e.task_id AND l.event_id = e.event_id AND e.type = 'TaskAssigned'
      AND b.type IN ('create', 'assign')
    ORDER BY b.id DESC LIMIT 1) AS before ON true
  WHERE e.occurred_at > business_now() - make_interval(days => :keep_days)
), said AS MATERIALIZED (
  SELECT event_id, user_id, task_id, actor_id, occurred_at, CAST(CASE
           WHEN type = 'PayoutMade' THEN 'paid'
           WHEN type = 'TransferReversed' THEN 'corrected'
           WHEN user_id = previous_id THEN 'kept'
           ELSE 'given' END AS notification_kind) AS kind, NULL::bigint AS correction_id
  FROM heard
  WHERE (type <> 'TaskCreated' OR user_id <> actor_id)
    AND type NOT IN ('CorrectionRequested', 'CorrectionRefused')
  UNION ALL
  SELECT event_id, previous_id, task_id, actor_id, occurred_at, 'taken', NULL
  FROM heard WHERE user_id <> previous_id
  UNION ALL
  SELECT event_id, decider.id, NULL, actor_id, occurred_at, 'asked', correction_id
  FROM heard CROSS JOIN LATERAL (
    SELECT u.id FROM users u JOIN corrections c ON c.id = heard.correction_id
    WHERE u.is_active AND u.role::text = ANY (:deciders) AND u.id <> heard.actor_id
      AND c.state = 'requested' OFFSET 0) AS decider
  WHERE type = 'CorrectionRequested'
  UNION ALL
  SELECT event_id, asker.id, NULL, actor_id, occurred_at,
         CAST(CASE type WHEN 'TransferReversed' THEN 'approved' ELSE 'refused' END
              AS notification_kind), correction_id
  FROM heard CROSS JOIN LATERAL (
    SELECT c.requested_by AS id FROM corrections c
    WHERE c.id = heard.correction_id AND c.requested_by <> heard.actor_id
      AND (heard.type = 'CorrectionRefused' OR c.requested_by <> heard.user_id) OFFSET 0) AS asker
  WHERE type IN ('TransferReversed', 'CorrectionRefused')
), fresh AS MATERIALIZED (
  SELECT s.* FROM said s WHERE (
    SELECT k.notification_id FROM notification_events k
    WHERE k.event_id = s.event_id AND k.user_id = s.user_id AND k.kind = s.kind) IS NULL
), lines AS (
  INSERT INTO notifications AS n (user_id, actor_id, occurred_at, given, kept, taken, paid,
                                  corrected, asked, approved, refused)
  SELECT user_id, actor_id, occurred_at,
         count(*) FILTER (WHERE kind = 'given'), count(*) FILTER (WHERE kind = 'kept'),
         count(*) FILTER (WHERE kind = 'taken'), count(*) FILTER (WHERE kind = 'paid'),
         count(*) FILTER (WHERE kind = 'corrected'), count(*) FILTER (WHERE kind = 'asked'),
         count(*) FILTER (WHERE kind = 'approved'), count(*) FILTER (WHERE kind = 'refused')
  FROM fresh GROUP BY user_id, actor_id, occurred_at ORDER BY occurred_at, user_id, actor_id
  ON CONFLICT (user_id, occurred_at, actor_id) DO UPDATE SET given = n.given + excluded.given,
    kept = n.kept + excluded.kept, taken = n.taken + excluded.taken, paid = n.paid + excluded.paid,
    corrected = n.corrected + excluded.corrected, asked = n.asked + excluded.asked,
    approved = n.approved + excluded.approved, refused = n.refused + excluded.refused
  RETURNING id, user_id, actor_id, occurred_at
), again AS (
  UPDATE notification_readers r SET read_up_to = l.id - 1
  FROM (SELECT user_id, min(id) AS id FROM lines GROUP BY user_id) AS l
  WHERE r.user_id = l.user_id AND r.read_up_to >= l.id
), told AS (
  INSERT INTO notification_events
    (event_id, user_id, kind, notification_id, task_id, correction_id)
  SELECT f.event_id, f.user_id, f.kind, l.id, f.task_id, f.correction_id
  FROM fresh f JOIN lines l ON l.user_id = f.user_id AND l.occurred_at = f.occurred_at
    AND l.actor_id IS NOT DISTINCT FROM f.actor_id
  RETURNING event_id
)
SELECT (SELECT count(*) FROM fresh) AS fresh, (SELECT count(*) FROM told) AS told
""")
# Never beyond the newest line there is, so that what comes later is news whatever was asked for.
MARK_READ = sql("""
INSERT INTO notification_readers AS r (user_id, read_up_to)
SELECT :user_id, least(:up_to, coalesce(max(n.id), 0)) FROM notifications n
WHERE n.user_id = :user_id
ON CONFLICT (user_id) DO UPDATE SET read_up_to = greatest(r.read_up_to, excluded.read_up_to)
""")
# Queues a mail for each person who wants digests and has lines that are neither read nor in a
# digest yet; one a person and day, whoever runs it and however often.
QUEUE_DIGESTS = sql("""
WITH today AS (
  SELECT (business_now() AT TIME ZONE :timezone)::date AS day,
         extract(hour FROM business_now() AT TIME ZONE :timezone) AS hour
), queued AS (
  INSERT INTO emails
    (dedupe_key, message_id, user_id, kind, after_notification, up_to_notification)
  SELECT concat_ws(':', 'digest', u.id, today.day), format('<digest-%s-%s@ates>', u.id, today.day),
         u.id, 'digest', told.up_to, unread.newest
  FROM users u CROSS JOIN today
  LEFT JOIN notification_readers r ON r.user_id = u.id
  CROSS JOIN LATERAL (
    SELECT greatest(r.read_up_to, r.mailed_up_to, 0) AS up_to) AS told
  CROSS JOIN LATERAL (
    SELECT max(n.id) AS newest FROM notifications n
    WHERE n.user_id = u.id AND n.id > told.up_to) AS unread
  WHERE u.digest = 'daily' AND u.is_active AND today.hour >= :hour AND unread.newest IS NOT NULL
  ORDER BY u.id
  ON CONFLICT (dedupe_key) DO NOTHING
  RETURNING user_id, up_to_notification
)
INSERT INTO notification_readers (user_id, mailed_up_to)
SELECT user_id, up_to_notification FROM queued
ON CONFLICT (user_id) DO UPDATE SET mailed_up_to = excluded.mailed_up_to
""")
# Forgets some of what happened too long ago: first what the lines tell of, then the lines.
FORGET_EVENTS = sql("""
DELETE FROM notification_events WHERE (event_id, user_id, kind) IN (
  SELECT e.event_id, e.user_id, e.kind
  FROM notifications n JOIN notification_events e ON e.notification_id = n.id
  WHERE n.occurred_at < business_now() - make_interval(days => :keep_days) LIMIT :limit)
""")
FORGET_LINES = sql("""
DELETE FROM notifications WHERE id IN (
  SELECT n.id FROM notifications n
  WHERE n.occurred_at < business_now() - make_interval(days => :keep_days)
    AND NOT EXISTS (SELECT FROM notification_events e WHERE e.notification_id = n.id)
  LIMIT :limit)
""")


def tell(session: Session, events: Sequence[Event]) -> None:
    """Tell the people whom `events` concern, of each event once; in the relay's transaction.

    What is older than KEEP_DAYS is not told. Somebody who does not exist violates a foreign key.
    """
    session.execute(ONE_AT_A_TIME)
    fresh, told = session.execute(TELL, _parameters(events)).one()
    # Each of them found its line.
    assert fresh == told, f"{fresh} to tell, {told} told"


@command
def mark_read(session: Session, actor: Actor, *, up_to: int) -> None:
    """Mark one's own lines up to the id `up_to` as read, until one of them says more."""
    actor.require("see_own_notifications")
    session.execute(MARK_READ, {"user_id": actor.user_id, "up_to": up_to})


@command
def queue_digests(session: Session) -> int:
    """Queue the digests that are due, one a person and day; returns how many.

    Due from DIGEST_HOUR on, for those who chose it and have something unread since the last.
    """
    names = {"timezone": settings.current().business_timezone, "hour": DIGEST_HOUR}
    return int(session.execute(QUEUE_DIGESTS, names).rowcount)  # type: ignore[attr-defined]


def forget_old() -> int:
    """Forget what is older than KEEP_DAYS, a bounded number at once; returns how many lines."""
    lines = 0
    for _ in range(FORGET_ROUNDS):
        forgotten_events, forgotten_lines = _forget_some()
        lines += forgotten_lines
        if max(forgotten_events, forgotten_lines) < FORGET_AT_ONCE:
            break
    return lines


@command
def _forget_some(session: Session) -> tuple[int, int]:
    names = {"keep_days": KEEP_DAYS, "limit": FORGET_AT_ONCE}
    events, lines = session.execute(FORGET_EVENTS, names), session.execute(FORGET_LINES, names)
    return events.rowcount, lines.rowcount  # type: ignore[attr-defined]


def _parameters(events: Sequence[Event]) -> dict[str, Any]:
    return {
        "event_ids": [event.event_id for event in events],
        "types": [type(event).__name__ for event in events],
        "task_ids": [getattr(event, "task_id", None) for event in events],
        "user_ids": [event.user_id for event in events],  # type: ignore[attr-defined]
        "actor_ids": [getattr(event, "actor_id", None) for event in events],
        "occurred": [event.occurred_at for event in events],
        "correction_ids": [getattr(event, "correction_id", None) for event in events],
        "deciders": sorted(POLICY["approve_corrections"]),
        "keep_days": KEEP_DAYS,
    }
