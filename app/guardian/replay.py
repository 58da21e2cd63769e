"""Replay: the ledger rebuilt from the event log in a schema beside it, and compared row by row.

Everything but the prices comes from the log: a price was drawn, and is taken as it was recorded.
The log is what the database holds and what was archived: every archive has to be there.
A transfer's business day is its event's own, but for one that was marked late, whose day depends
on when it was posted; and the order of an account's transfers is the ledger's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import ProgrammingError

from app.guardian.scenario import counterparties_sql, steps_sql
from app.kernel.errors import Unavailable
from app.kernel.settings import Settings
from app.outbox.archive_files import load_archives

SCHEMA = "ledger_shadow"
SHOWN = 5

# The whole log: what is archived is loaded beside what is in the database.
LOG = f"""
CREATE UNLOGGED TABLE {SCHEMA}.archived (LIKE public.outbox);
CREATE VIEW {SCHEMA}.log AS
SELECT * FROM public.outbox UNION ALL SELECT * FROM {SCHEMA}.archived;
"""
# What each event ought to have made: fees and rewards by the scenarios, payouts by what their
# event says, reversals by what they undo.
TRANSFERS = f"""
CREATE TABLE {SCHEMA}.transfers AS
WITH posted AS MATERIALIZED (
  SELECT o.* FROM {SCHEMA}.log o, outbox_cursors c
  WHERE c.consumer = 'accounting' AND (o.xid, o.id) <= (c.xid, c.id)
    AND NOT EXISTS (SELECT FROM dead_letters d WHERE d.consumer = c.consumer AND d.xid = o.xid
                    AND d.outbox_id = o.id AND d.state <> 'retried')
), company AS (
  SELECT id, kind::text FROM accounts WHERE kind <> 'employee'
), moves AS (
  SELECT e.event_id, transfer_kind AS kind, e.user_id, e.task_id, e.occurred_at,
         CASE amount_is WHEN 'assign_price' THEN p.assign_price ELSE p.complete_price END::bigint
           AS amount, NULL::date AS day
  FROM posted e JOIN {steps_sql()} ON event_type = e.type
  LEFT JOIN task_prices p ON p.task_id = e.task_id
  UNION ALL
  SELECT o.event_id, 'payout', o.user_id, NULL, o.occurred_at, (o.payload->>'amount')::bigint,
         (o.payload->>'business_day')::date
  FROM {SCHEMA}.log o WHERE o.type = 'PayoutMade'
)
SELECT m.event_id, m.kind,
       CASE owner_side WHEN 'debit' THEN a.id ELSE c.id END AS debit_account_id,
       CASE owner_side WHEN 'debit' THEN c.id ELSE a.id END AS credit_account_id,
       a.id AS owner_account_id, m.amount,
       CASE owner_side WHEN 'debit' THEN -m.amount ELSE m.amount END AS delta, m.task_id,
       m.occurred_at, m.day
FROM moves m
JOIN {counterparties_sql()} ON transfer_kind = m.kind
JOIN company c ON c.kind = other_kind
LEFT JOIN accounts a ON a.user_id = m.user_id
"""
REVERSALS = f"""
INSERT INTO {SCHEMA}.transfers
SELECT o.event_id, 'reversal', s.credit_account_id, s.debit_account_id, s.owner_account_id,
       s.amount, -s.delta, s.task_id, o.occurred_at, NULL
FROM {SCHEMA}.log o
JOIN account_transfers t ON t.id = (o.payload->>'transfer_id')::bigint
JOIN {SCHEMA}.transfers s ON s.event_id = t.event_id
WHERE o.type = 'TransferReversed'
"""
# The day of the event by the days that there are, whatever the zone is now; see the docstring.
DAYS = f"""
UPDATE {SCHEMA}.transfers s SET day = CASE WHEN t.late AND own.status <> 'open'
  THEN t.business_day ELSE coalesce(own.day, (s.occurred_at AT TIME ZONE :timezone)::date) END
FROM {SCHEMA}.transfers e
LEFT JOIN account_transfers t ON t.event_id = e.event_id
LEFT JOIN LATERAL (SELECT day, status FROM business_days d WHERE d.during @> e.occurred_at LIMIT 1)
  AS own ON true
WHERE e.event_id = s.event_id AND s.day IS NULL AND s.kind <> 'reversal'
"""
# A reversal counts on the day that was open when it was made.
REVERSAL_DAYS = f"""
UPDATE {SCHEMA}.transfers s SET day = t.business_day
FROM account_transfers t WHERE t.event_id = s.event_id AND s.kind = 'reversal'
"""
ROLL_UPS = f"""
CREATE UNIQUE INDEX ON {SCHEMA}.transfers (event_id);
CREATE TABLE {SCHEMA}.balances AS
SELECT owner_account_id AS account_id, sum(delta)::bigint AS balance, count(*) AS version
FROM {SCHEMA}.transfers GROUP BY 1;
CREATE TABLE {SCHEMA}.account_days AS
SELECT owner_account_id AS account_id, day AS business_day, sum(delta)::bigint AS delta,
       count(*) AS transfers
FROM {SCHEMA}.transfers GROUP BY 1, 2;
CREATE TABLE {SCHEMA}.ledger_days AS
SELECT day AS business_day, count(*) AS transfers,
       coalesce(sum(amount) FILTER (WHERE kind = 'assign_fee'), 0)::bigint AS fees,
       coalesce(sum(amount) FILTER (WHERE kind = 'completion_reward'), 0)::bigint AS rewards,
       coalesce(sum(amount) FILTER (WHERE kind = 'payout'), 0)::bigint AS payouts
FROM {SCHEMA}.transfers GROUP BY 1;
ANALYZE {SCHEMA}.transfers;
"""

# Archives are compared with what the database knows of them as they are loaded.
NOTHING = "SELECT WHERE false"
# Each part: its rows in the shadow, and the rows that are not the same in the ledger.
COMPARISONS: dict[str, tuple[str, str]] = {
    "archived events": (f"SELECT count(*) FROM {SCHEMA}.archived", NOTHING),
    "board's log": (
        f"SELECT count(*) FROM logs l JOIN {steps_sql()} ON log_type = l.type::text",
        f"""
SELECT l.id, l.task_id, l.event_id, l.type::text,
       CASE WHEN e.event_id IS NULL THEN 'no event' ELSE 'differs' END AS what
FROM logs l JOIN {steps_sql()} ON log_type = l.type::text
LEFT JOIN {SCHEMA}.log e ON e.event_id = l.event_id
WHERE (e.type, e.task_id, e.user_id) IS DISTINCT FROM (event_type, l.task_id, l.user_id)""",
    ),
    "prices": (
        f"SELECT count(DISTINCT task_id) FROM {SCHEMA}.log WHERE task_id IS NOT NULL",
        f"""SELECT DISTINCT s.task_id, 'no price' AS what FROM {SCHEMA}.transfers s
            WHERE s.amount IS NULL""",
    ),
    "transfers": (
        f"SELECT count(*) FROM {SCHEMA}.transfers",
        f"""
SELECT coalesce(s.event_id, t.event_id) AS event_id, t.id,
       CASE WHEN t.id IS NULL THEN 'missing in the ledger'
            WHEN s.event_id IS NULL THEN 'not from the log' ELSE 'differs' END AS what,
       s.kind AS kind_ought, t.kind::text AS kind, s.amount AS amount_ought, t.amount,
       s.owner_account_id AS account_ought, t.owner_account_id AS account,
       s.day AS day_ought, t.business_day AS day
FROM {SCHEMA}.transfers s FULL JOIN account_transfers t ON t.event_id = s.event_id
WHERE (s.kind, s.debit_account_id, s.credit_account_id, s.owner_account_id, s.amount, s.task_id,
       s.day) IS DISTINCT FROM
      (t.kind::text, t.debit_account_id, t.credit_account_id, t.owner_account_id, t.amount,
       t.task_id, t.business_day)
   OR (s.kind IN ('assign_fee', 'completion_reward') AND s.occurred_at <> t.timestamp)""",
    ),
    "running balances": (
        f"SELECT count(*) FROM {SCHEMA}.transfers",
        f"""
SELECT id, account, version, balance_ought, balance_after FROM (
  SELECT t.id, t.owner_account_id AS account, t.account_version AS version, t.balance_after,
         sum(s.delta) OVER (PARTITION BY s.owner_account_id ORDER BY t.account_version)
           AS balance_ought
  FROM {SCHEMA}.transfers s JOIN account_transfers t USING (event_id)) AS ordered
WHERE balance_ought IS DISTINCT FROM balance_after""",
    ),
    "balances": (
        f"SELECT count(*) FROM {SCHEMA}.balances",
        f"""
SELECT a.id AS account, s.balance AS balance_ought, a.balance FROM accounts a
LEFT JOIN {SCHEMA}.balances s ON s.account_id = a.id
WHERE a.kind = 'employee'
  AND (coalesce(s.balance, 0), coalesce(s.version, 0)) IS DISTINCT FROM (a.balance, a.version)""",
    ),
    "accounts' days": (
        f"SELECT count(*) FROM {SCHEMA}.account_days",
        f"""
SELECT coalesce(s.account_id, d.account_id) AS account,
       coalesce(s.business_day, d.business_day) AS day, s.delta AS delta_ought, d.delta
FROM {SCHEMA}.account_days s FULL JOIN account_days d
  ON d.account_id = s.account_id AND d.business_day = s.business_day
WHERE (s.delta, s.transfers) IS DISTINCT FROM (d.delta, d.transfers)""",
    ),
    "days": (
        f"SELECT count(*) FROM {SCHEMA}.ledger_days",
        f"""
SELECT coalesce(s.business_day, d.business_day) AS day, s.fees AS fees_ought, d.fees,
       s.rewards AS rewards_ought, d.rewards, s.payouts AS payouts_ought, d.payouts
FROM {SCHEMA}.ledger_days s FULL JOIN ledger_days d ON d.business_day = s.business_day
WHERE (s.fees, s.rewards, s.payouts, s.transfers)
  IS DISTINCT FROM (d.fees, d.rewards, d.payouts, d.transfers)""",
    ),
}


@dataclass(frozen=True, slots=True)
class Compared:
    """A part of the ledger: rows that the log makes, rows that differ, and the first of these."""

    part: str
    rows: int
    differ: int
    first: Sequence[dict[str, Any]]


def rebuild(settings: Settings, *, keep: bool = False) -> list[Compared]:
    """Rebuild the ledger beside it, as the owner, from one moment's log; and compare the two.

    The shadow is left behind where something differs, or when `keep` is set. Raises Unavailable
    when the role may not make a schema, ArchiveDamaged when a part of the log cannot be read.
    """
    engine = sa.create_engine(
        settings.sqlalchemy_migration_url,
        isolation_level="REPEATABLE READ",
        connect_args={"options": "-c work_mem=128MB -c application_name=ates-replay"},
    )
    try:
        with engine.begin() as connection:
            folder = settings.archive_folder
            compared = rebuild_on(connection, settings.business_timezone, folder)
            if not keep and not any(each.differ for each in compared):
                connection.execute(sa.text(f"DROP SCHEMA {SCHEMA} CASCADE"))
    except ProgrammingError as error:
        if getattr(error.orig, "sqlstate", None) == "42501":
            raise Unavailable(
                "This role may not make a schema: set MIGRATION_DATABASE_URL to the owner's"
            ) from error
        raise
    finally:
        engine.dispose()
    return compared


def rebuild_on(connection: sa.Connection, timezone: str, archive: Path) -> list[Compared]:
    """Rebuild and compare in the transaction of `connection`; the shadow is left behind in it.

    `archive` is the folder of what was archived. Raises ArchiveDamaged.
    """
    _build(connection, timezone, archive)
    return [_compare(connection, part) for part in COMPARISONS]


def _build(connection: sa.Connection, timezone: str, archive: Path) -> None:
    # Before the moment is chosen: what is archived after it shall not be missing in both places.
    connection.execute(sa.text("LOCK TABLE outbox IN ACCESS SHARE MODE"))
    connection.execute(sa.text(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE"))
    connection.execute(sa.text(f"CREATE SCHEMA {SCHEMA}"))
    for statement in LOG.split(";")[:-1]:
        connection.execute(sa.text(statement))
    if load_archives(connection, archive, table=f"{SCHEMA}.archived"):
        connection.execute(sa.text(f"ANALYZE {SCHEMA}.archived"))
    for statement in (TRANSFERS, REVERSALS, DAYS, REVERSAL_DAYS, *ROLL_UPS.split(";")):
        if statement.strip():
            names = {"timezone": timezone} if ":timezone" in statement else {}
            connection.execute(sa.text(statement), names)


def _compare(connection: sa.Connection, part: str) -> Compared:
    counted, differing = COMPARISONS[part]
    rows = connection.execute(sa.text(counted)).scalar_one()
    differ = connection.execute(sa.text(f"SELECT count(*) FROM ({differing}) AS d")).scalar_one()
    first: list[dict[str, Any]] = []
    if differ:
        found = connection.execute(sa.text(f"SELECT * FROM ({differing}) AS d LIMIT {SHOWN}"))
        first = [dict(row._mapping) for row in found]  # noqa: SLF001 - the documented name
    return Compared(part, rows, differ, first)
