"""Posting: a batch of events becomes prices, transfers, balances and roll-ups, set-based.

Exactly once: an event's id is unique in the ledger, and the balances move in the statement that
inserts the transfers. In any order: prices are drawn on first sight, an event makes one transfer,
a balance is a sum.

Every look-up is by index, a row at a time (`LATERAL … OFFSET 0`, a subquery in the condition, and
no sequential scans), whatever the planner thinks of the tables: the statements are prepared, so a
plan made for an empty ledger is kept while it grows; and nobody knows how many rows a CTE gives,
where joining two of them by a nested loop made batches of 5,000 five times as slow as ones of
1,000. tests/accounting/test_posting_plan.py holds the plans.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy.orm import Session

from app.events import Event, TaskAssigned, TaskCompleted, TaskCreated
from app.kernel import settings
from app.kernel.db import sql
from app.outbox.relay import Consumer

# The day gate: shared by whoever posts, exclusive for whoever closes a day. In this transaction,
# tables are looked up by their indexes.
SHARE_DAY_GATE = sql("""
SELECT pg_advisory_xact_lock_shared(1), set_config('enable_seqscan', 'off', true)
""")

# Opens accounts for employees who have none, in the company's currency.
OPEN_ACCOUNTS = sql("""
INSERT INTO accounts (kind, user_id, balance, currency)
SELECT 'employee', user_id, 0, (SELECT currency FROM accounts WHERE kind = 'company_income')
FROM unnest(CAST(:user_ids AS bigint[])) AS u (user_id)
WHERE (SELECT a.id FROM accounts a WHERE a.user_id = u.user_id) IS NULL
ORDER BY user_id
ON CONFLICT (user_id) DO NOTHING
""")
# Locks the accounts of a batch in one order, so that two batches cannot deadlock, and says how
# they stand until the batch moves them: asked for once each, however many of the events are theirs.
# A row that is locked stays at its place, its ctid, so that no index is asked for it again.
LOCK_ACCOUNTS = sql("""
SELECT user_id, id, ctid, balance, version FROM accounts
WHERE user_id = ANY (CAST(:user_ids AS bigint[])) ORDER BY id FOR NO KEY UPDATE
""")
# Makes sure of the business days that the batch falls on: its own, or the first that is open.
OPEN_DAYS = sql("""
INSERT INTO business_days (day, during)
SELECT day, tstzrange(day::timestamp AT TIME ZONE :timezone,
                      (day + 1)::timestamp AT TIME ZONE :timezone)
FROM (
  SELECT DISTINCT greatest((e.occurred_at AT TIME ZONE :timezone)::date,
    (SELECT day + 1 FROM business_days WHERE status <> 'open' ORDER BY day DESC LIMIT 1)) AS day
  FROM unnest(CAST(:minutes AS timestamptz[])) AS e (occurred_at)
) AS days
ON CONFLICT (day) DO NOTHING
""")
# Draws the prices of tasks that have none: uniform over every cent, both ends included.
DRAW_PRICES = sql("""
INSERT INTO task_prices (task_id, assign_price, complete_price)
SELECT task_id, random(CAST(:fee_min AS int), CAST(:fee_max AS int)),
       random(CAST(:reward_min AS int), CAST(:reward_max AS int))
FROM unnest(CAST(:tasks AS bigint[])) AS t (task_id)
ON CONFLICT (task_id) DO NOTHING
""")
# Posts the batch: events that the ledger knows drop out; the rest become one transfer each.
POST = sql("""
WITH batch AS MATERIALIZED (
  SELECT e.event_id, e.kind, e.task_id, e.account_id, e.place, e.balance, e.version,
         e.occurred_at, e.n, greatest(own.day, closed.day + 1) AS business_day,
         coalesce(own.day <= closed.day, false) AS late
  FROM unnest(CAST(:event_ids AS uuid[]), CAST(:kinds AS transfer_kind[]),
              CAST(:task_ids AS bigint[]), CAST(:account_ids AS bigint[]),
              CAST(:places AS tid[]), CAST(:balances AS bigint[]), CAST(:versions AS bigint[]),
              CAST(:occurred AS timestamptz[]))
         WITH ORDINALITY
         AS e (event_id, kind, task_id, account_id, place, balance, version, occurred_at, n)
  CROSS JOIN LATERAL (SELECT (e.occurred_at AT TIME ZONE :timezone)::date AS day OFFSET 0) AS own
  LEFT JOIN (SELECT day FROM business_days WHERE status <> 'open' ORDER BY day DESC LIMIT 1)
         AS closed ON true
  WHERE (SELECT t.id FROM account_transfers t WHERE t.event_id = e.event_id) IS NULL
), lines AS MATERIALIZED (
  SELECT b.*,
         CASE b.kind WHEN 'assign_fee' THEN p.assign_price ELSE p.complete_price END AS amount,
         CASE b.kind WHEN 'assign_fee' THEN -p.assign_price ELSE p.complete_price END AS delta
  FROM batch b
  CROSS JOIN LATERAL (
    SELECT assign_price, complete_price FROM task_prices WHERE task_id = b.task_id OFFSET 0) AS p
), posted AS (
  INSERT INTO account_transfers (event_id, kind, debit_account_id, credit_account_id,
    owner_account_id, amount, balance_after, account_version, timestamp, recorded_at,
    business_day, late, task_id)
  SELECT event_id, kind,
         CASE kind WHEN 'assign_fee' THEN account_id ELSE expense.id END,
         CASE kind WHEN 'assign_fee' THEN income.id ELSE account_id END,
         account_id, amount,
         balance + sum(delta) OVER so_far, version + row_number() OVER so_far,
         occurred_at, (SELECT business_now()), business_day, late, task_id
  FROM lines,
    (SELECT id FROM accounts WHERE kind = 'company_income') AS income,
    (SELECT id FROM accounts WHERE kind = 'company_expense') AS expense
  WINDOW so_far AS (PARTITION BY account_id ORDER BY n ROWS UNBOUNDED PRECEDING)
  ORDER BY n
), moved AS (
  UPDATE accounts a SET balance = a.balance + s.delta, version = a.version + s.transfers
  FROM (SELECT place, account_id, sum(delta) AS delta, count(*) AS transfers
        FROM lines GROUP BY 1, 2) AS s
  WHERE a.ctid = s.place AND a.id = s.account_id
  RETURNING a.id
), by_account AS (
  INSERT INTO account_days AS d (account_id, business_day, fees, rewards, transfers)
  SELECT account_id, business_day,
         coalesce(sum(amount) FILTER (WHERE kind = 'assign_fee'), 0),
         coalesce(sum(amount) FILTER (WHERE kind = 'completion_reward'), 0), count(*)
  FROM lines GROUP BY 1, 2 ORDER BY 1, 2
  ON CONFLICT (account_id, business_day) DO UPDATE SET fees = d.fees + excluded.fees,
    rewards = d.rewards + excluded.rewards, transfers = d.transfers + excluded.transfers
), by_day AS (
  INSERT INTO ledger_days AS d (business_day, fees, rewards, transfers)
  SELECT business_day,
         coalesce(sum(amount) FILTER (WHERE kind = 'assign_fee'), 0),
         coalesce(sum(amount) FILTER (WHERE kind = 'completion_reward'), 0), count(*)
  FROM lines GROUP BY 1 ORDER BY 1
  ON CONFLICT (business_day) DO UPDATE SET fees = d.fees + excluded.fees,
    rewards = d.rewards + excluded.rewards, transfers = d.transfers + excluded.transfers
)
SELECT (SELECT count(*) FROM batch) AS fresh, (SELECT count(*) FROM lines) AS posted,
       (SELECT count(DISTINCT account_id) FROM lines) AS owners,
       (SELECT count(*) FROM moved) AS moved
""")

TRANSFER_KINDS: dict[type[Event], str] = {
    TaskCreated: "assign_fee",
    TaskAssigned: "assign_fee",
    TaskCompleted: "completion_reward",
}


def post(session: Session, events: Sequence[Event]) -> None:
    """Post `events` to the ledger, each at most once ever; runs in the relay's transaction.

    Events must be of the types in TRANSFER_KINDS. An event that was posted before, or stands in
    the batch twice, changes nothing. A task or user that does not exist violates a foreign key.
    """
    once = list({event.event_id: event for event in events}.values())
    session.execute(SHARE_DAY_GATE)
    names = {**_parameters(once), **_locked_accounts(session, once)}
    session.execute(OPEN_DAYS, names)
    session.execute(DRAW_PRICES, names)
    fresh, posted, owners, moved = session.execute(POST, names).one()
    # Every event that the ledger did not know found its price, and each balance was moved.
    assert fresh == posted, f"{fresh} events to post, {posted} posted"
    assert owners == moved, f"{owners} balances to move, {moved} moved"


def _locked_accounts(session: Session, events: Sequence[Event]) -> dict[str, str]:
    """Lock the accounts of the events' employees, opened where there are none; one per event."""
    employees = [event.user_id for event in events]  # type: ignore[attr-defined]
    names = {"user_ids": _array(sorted(set(employees)))}
    accounts = _locked(session, names)
    if len(accounts) != len(set(employees)):
        session.execute(OPEN_ACCOUNTS, names)
        accounts = _locked(session, names)
    found = [accounts[user_id] for user_id in employees]
    return {
        "account_ids": _array(account.id for account in found),
        "places": _array(f'"{account.ctid}"' for account in found),
        "balances": _array(account.balance for account in found),
        "versions": _array(account.version for account in found),
    }


def _locked(session: Session, names: dict[str, str]) -> dict[int, Any]:
    return {row.user_id: row for row in session.execute(LOCK_ACCOUNTS, names)}


def _parameters(events: Sequence[Event]) -> dict[str, Any]:
    chosen = settings.current()
    task_ids = [event.task_id for event in events]  # type: ignore[attr-defined]
    occurred = [event.occurred_at.isoformat() for event in events]
    return {
        "event_ids": _array(event.event_id for event in events),
        "kinds": _array(TRANSFER_KINDS[type(event)] for event in events),
        "task_ids": _array(task_ids),
        "tasks": _array(sorted(set(task_ids))),
        "occurred": _array(occurred),
        # No day begins within a minute, so that one moment of each tells the batch's days.
        "minutes": _array({(text[:16], text[-6:]): text for text in occurred}.values()),
        "timezone": chosen.business_timezone,
        "fee_min": chosen.assign_fee.min_cents,
        "fee_max": chosen.assign_fee.max_cents,
        "reward_min": chosen.completion_reward.min_cents,
        "reward_max": chosen.completion_reward.max_cents,
    }


def _array(values: Iterable[object]) -> str:
    """A PostgreSQL array as text, of values without commas, quotes or braces.

    A fifth of the time that psycopg takes, which was a tenth of the whole posting.
    """
    return "{" + ",".join(map(str, values)) + "}"


ACCOUNTING = Consumer(name="accounting", hears=tuple(TRANSFER_KINDS), post=post)
