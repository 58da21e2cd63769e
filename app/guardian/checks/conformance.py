"""Whether logs, events, prices and transfers say what the planned scenarios say, task by task."""

from __future__ import annotations

from app.guardian.checks.declaration import INCREMENT, WHOLE, Check, checked_both_ways
from app.guardian.scenario import (
    STEPS,
    STORY,
    by_log_type_sql,
    counterparties_sql,
    event_types_sql,
    log_types_sql,
    transfer_kinds_sql,
)

# Events that the ledger has been given, and did not set aside. Nearly all of them: said so that no
# index is used.
_POSTED = """NOT (e.xid, e.id) > (SELECT c.xid, c.id FROM outbox_cursors c
                                  WHERE c.consumer = 'accounting')
  AND NOT EXISTS (SELECT FROM dead_letters d WHERE d.consumer = 'accounting'
                  AND d.xid = e.xid AND d.outbox_id = e.id AND d.state <> 'retried')"""


def _without_event(logs: str) -> str:
    return f"""
SELECT l.id, l.task_id, l.type, l.event_id, l.timestamp FROM {logs} AS l
LEFT JOIN outbox e ON e.event_id = l.event_id
  AND e.type = {by_log_type_sql("l.type", "event")}
  AND e.task_id = l.task_id AND e.user_id = l.user_id
WHERE l.type IN ({log_types_sql()}) AND e.id IS NULL"""


def _has_its_transfer(name: str, transfer_kind: str) -> Check:
    events = ", ".join(f"'{step.event}'" for step in STEPS if step.transfer == transfer_kind)
    return checked_both_ways(
        name=name,
        means="Something happened on the board, the ledger was told, and no money moved for it.",
        to_do="Look at the event on Event flow. `bin/ates ledger rebuild --shadow` shows what the"
        " ledger should hold; post what is missing as a correction, never by hand in SQL.",
        statement=f"""
SELECT e.event_id, e.type, e.task_id, e.user_id FROM {{events}} AS e
LEFT JOIN account_transfers t ON t.event_id = e.event_id AND t.kind = '{transfer_kind}'
  AND t.task_id = e.task_id
WHERE e.type IN ({events}) AND t.id IS NULL AND {_POSTED}""",
    )


def _otherwise_than_drawn(transfers: str, is_its_log: str) -> str:
    """`is_its_log` is by one column where all are read: of two the planner expects far too few."""
    return f"""
SELECT t.id, t.kind, t.amount, p.assign_price, p.complete_price, a.user_id, l.user_id AS assignee
FROM {transfers} AS t
JOIN logs l ON {is_its_log}
JOIN accounts a ON a.id = t.owner_account_id
LEFT JOIN task_prices p ON p.task_id = t.task_id
WHERE t.kind IN ({transfer_kinds_sql()}) AND l.type IN ({log_types_sql()})
  AND (a.user_id IS DISTINCT FROM l.user_id OR t.task_id IS DISTINCT FROM l.task_id
       OR t.amount IS DISTINCT FROM {by_log_type_sql("l.type", "price", table="p")})"""


CHECKS: tuple[Check, ...] = (
    _has_its_transfer("each assignment has exactly one fee", "assign_fee"),
    _has_its_transfer("each completion has exactly one reward", "completion_reward"),
    checked_both_ways(
        name="each fee and reward has the log entry that it is for",
        means="Money moved for something that the board's log does not know.",
        to_do="The transfer was not made by the relay. Find out who can write to the ledger;"
        " reverse it by a correction.",
        statement=f"""
SELECT t.id, t.event_id, t.kind, t.task_id FROM {{transfers}} AS t
WHERE t.kind IN ({transfer_kinds_sql()}) AND NOT EXISTS (
  SELECT FROM logs l WHERE l.task_id = t.task_id AND l.event_id = t.event_id
    AND ({by_log_type_sql("l.type", "transfer")} = t.kind::text) IS TRUE)""",
    ),
    Check(
        name="each fee and reward is its assignee's, at the task's price",
        means="A transfer went to the wrong person, or with another amount than was drawn.",
        to_do="Reverse it by a correction and post the right one. A changed row means that"
        " somebody wrote behind the system: compare with a backup.",
        whole=_otherwise_than_drawn(WHOLE["transfers"], "l.event_id = t.event_id"),
        increment=_otherwise_than_drawn(
            INCREMENT["transfers"], "l.task_id = t.task_id AND l.event_id = t.event_id"
        ),
    ),
    checked_both_ways(
        name="each transfer is between the right accounts",
        means="A fee, reward or payout moved money between accounts that it cannot concern.",
        to_do="Reverse it by a correction; find out what wrote it.",
        statement=f"""
SELECT t.id, t.kind, t.debit_account_id, t.credit_account_id, t.owner_account_id
FROM {{transfers}} AS t
JOIN {counterparties_sql()} ON transfer_kind = t.kind::text
JOIN accounts debit ON debit.id = t.debit_account_id
JOIN accounts credit ON credit.id = t.credit_account_id
WHERE (debit.kind::text, credit.kind::text, t.owner_account_id) IS DISTINCT FROM (
  CASE owner_side WHEN 'debit' THEN 'employee' ELSE other_kind END,
  CASE owner_side WHEN 'debit' THEN other_kind ELSE 'employee' END,
  CASE owner_side WHEN 'debit' THEN debit.id ELSE credit.id END)""",
    ),
    Check(
        name="each log entry's event is in the log of events",
        means="The board's log tells of a change that no consumer will ever hear of.",
        to_do="The event log lost a row, or was restored from an older backup than the board:"
        " restore both to the same moment.",
        whole=f"""
WITH without AS MATERIALIZED (
  SELECT w.*, EXISTS (
    SELECT FROM outbox_partitions p WHERE w.timestamp BETWEEN p.first_at AND p.last_at)
    AS may_be_archived
  FROM ({_without_event(WHOLE["logs"])}) AS w)
SELECT id, task_id, type::text AS what, event_id FROM without WHERE NOT may_be_archived
UNION ALL
SELECT NULL, NULL, format('%s entries without an event, and %s events archived', n, archived), NULL
FROM (SELECT count(*) AS n FROM without WHERE may_be_archived) AS w,
  (SELECT coalesce(sum(board_events), 0) AS archived FROM outbox_partitions) AS a
WHERE n <> archived""",
        increment=_without_event(INCREMENT["logs"]),
    ),
    checked_both_ways(
        name="each task's event has its log entry",
        means="An event tells of a change that the board's log does not know.",
        to_do="Something wrote events by hand. If it moved money, reverse that by a correction.",
        statement=f"""
SELECT e.event_id, e.type, e.task_id FROM {{events}} AS e
WHERE e.type IN ({event_types_sql()}) AND NOT EXISTS (
  SELECT FROM logs l WHERE l.task_id = e.task_id AND l.event_id = e.event_id)
  AND NOT EXISTS (SELECT FROM dead_letters d WHERE d.consumer = 'accounting'
                  AND d.xid = e.xid AND d.outbox_id = e.id)""",
    ),
    Check(
        name="each task follows create, assign*, complete",
        means="A task's history is not one that the scenarios allow.",
        to_do="Open the task's story. A row that is missing or out of order was written, or lost,"
        " behind the system: compare with a backup.",
        # All stories are told in one walk along the index, and each kind of them is judged once.
        whole=f"""
WITH stories AS MATERIALIZED (
  SELECT task_id, string_agg(type::text, ' ' ORDER BY id) AS story
  FROM logs WHERE type <> 'other' GROUP BY task_id
), wrong AS (
  SELECT story FROM stories GROUP BY story HAVING max(story) !~ '{STORY}')
SELECT k.id, story FROM tasks k LEFT JOIN stories ON stories.task_id = k.id
WHERE story IS NULL OR story IN (SELECT story FROM wrong)""",
        increment=f"""
SELECT k.id, story FROM {INCREMENT["tasks"]} AS k LEFT JOIN LATERAL (
  SELECT string_agg(type::text, ' ' ORDER BY id) AS story
  FROM logs WHERE task_id = k.id AND type <> 'other') AS stories ON true
WHERE coalesce(story, '') !~ '{STORY}'""",
    ),
    Check(
        name="each task is as its log tells",
        means="A task's assignee or state is not what its last log entry says.",
        to_do="Open the task's story; the log is right, the task's row was changed without it.",
        # Materialized, or each worker would walk along the whole index.
        whole="""
WITH last AS MATERIALIZED (
  SELECT DISTINCT ON (task_id) task_id, user_id, type FROM logs WHERE type <> 'other'
  ORDER BY task_id DESC, id DESC)
SELECT k.id, k.assigned_to, k.is_finished, last.user_id, last.type FROM tasks k
LEFT JOIN last ON last.task_id = k.id
WHERE (k.assigned_to, k.is_finished) IS DISTINCT FROM (last.user_id, last.type = 'complete')""",
        increment=f"""
SELECT k.id, k.assigned_to, k.is_finished, last.user_id, last.type FROM {INCREMENT["tasks"]} AS k
LEFT JOIN LATERAL (
  SELECT user_id, type FROM logs l WHERE l.task_id = k.id AND type <> 'other'
  ORDER BY id DESC LIMIT 1) AS last ON true
WHERE (k.assigned_to, k.is_finished) IS DISTINCT FROM (last.user_id, last.type = 'complete')""",
    ),
)
