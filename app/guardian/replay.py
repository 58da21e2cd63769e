"""Replay: the ledger made again from the event log, and compared with the live one row by row.

Everything but the prices comes from the log: a price was drawn, and is taken as it was recorded.
The log is what the database holds and what was archived: every archive has to be there.
A transfer's business day is its event's own, but for one that was marked late, whose day depends
on when it was posted; and the order of an account's transfers is the ledger's.

All of it is one statement, of one moment, in a transaction that only reads. A transaction that
writes has an id, and until it ends the relay reads nothing that is newer (see app.outbox.relay):
so archives are loaded before, in steps of some milliseconds each, and the shadow is written to a
schema only where somebody wants to look at it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import ProgrammingError

from app.guardian.scenario import PAYOUT, counterparties_sql, steps_sql
from app.kernel.errors import Unavailable
from app.kernel.settings import Settings
from app.outbox.archive_files import COLUMNS, Manifest, archives, load_archive

SCHEMA = "ledger_shadow"
SHOWN = 5

# One rebuild at a time; it is held by the connection that writes.
LOCK = "SELECT pg_try_advisory_lock(8)"
_COLUMNS = ", ".join(COLUMNS)
ARCHIVED = f"CREATE UNLOGGED TABLE {SCHEMA}.archived (LIKE public.outbox)"
# Nothing here is written, so nobody knows how many rows a part has: each is hashed.
PLANNED = """
SELECT set_config('work_mem', '64MB', true), set_config('enable_nestloop', 'off', true)
"""
# What each event ought to have made: fees and rewards by the scenarios, payouts by what their
# event says, reversals by what they undo. The day of the event is by the days that there are,
# whatever the zone is now; a reversal counts on the day that was open when it was made.
SHADOW = f"""
posted AS (
  SELECT o.* FROM whole_log o, outbox_cursors c
  WHERE c.consumer = 'accounting' AND (o.xid, o.id) <= (c.xid, c.id)
    AND NOT EXISTS (SELECT FROM dead_letters d WHERE d.consumer = 'accounting' AND d.xid = o.xid
                    AND d.outbox_id = o.id AND d.state <> 'retried')
), moves AS (
  SELECT e.event_id, transfer_kind AS kind, e.user_id, e.task_id, e.occurred_at,
         CASE amount_is WHEN 'assign_price' THEN p.assign_price ELSE p.complete_price END::bigint
           AS amount, NULL::date AS day
  FROM posted e JOIN {steps_sql()} ON event_type = e.type
  LEFT JOIN task_prices p ON p.task_id = e.task_id
  UNION ALL
  SELECT o.event_id, '{PAYOUT.transfer}', o.user_id, NULL, o.occurred_at,
         (o.payload->>'amount')::bigint, (o.payload->>'business_day')::date
  FROM whole_log o WHERE o.type = '{PAYOUT.event}'
), made AS MATERIALIZED (
  SELECT m.event_id, m.kind,
         CASE owner_side WHEN 'debit' THEN a.id ELSE c.id END AS debit_account_id,
         CASE owner_side WHEN 'debit' THEN c.id ELSE a.id END AS credit_account_id,
         a.id AS owner_account_id, m.amount,
         CASE owner_side WHEN 'debit' THEN -m.amount ELSE m.amount END AS delta, m.task_id,
         m.occurred_at,
         CASE WHEN m.day IS NOT NULL THEN m.day
              WHEN t.late AND own.status <> 'open' THEN t.business_day
              ELSE coalesce(own.day, (m.occurred_at AT TIME ZONE :timezone)::date) END AS day
  FROM moves m
  JOIN {counterparties_sql()} ON transfer_kind = m.kind
  JOIN (SELECT id, kind::text FROM accounts WHERE kind <> 'employee') AS c ON c.kind = other_kind
  LEFT JOIN accounts a ON a.user_id = m.user_id
  LEFT JOIN account_transfers t ON t.event_id = m.event_id
  LEFT JOIN LATERAL (
    SELECT d.day, d.status FROM business_days d
    WHERE m.day IS NULL AND d.during @> m.occurred_at LIMIT 1) AS own ON true
), shadow_transfers AS MATERIALIZED (
  SELECT * FROM made
  UNION ALL
  SELECT o.event_id, 'reversal', s.credit_account_id, s.debit_account_id, s.owner_account_id,
         s.amount, -s.delta, s.task_id, o.occurred_at, own.business_day
  FROM whole_log o
  JOIN account_transfers t ON t.id = (o.payload->>'transfer_id')::bigint
  JOIN made s ON s.event_id = t.event_id
  LEFT JOIN account_transfers own ON own.event_id = o.event_id
  WHERE o.type = 'TransferReversed'
), shadow_balances AS MATERIALIZED (
  SELECT owner_account_id AS account_id, sum(delta)::bigint AS balance, count(*) AS version
  FROM shadow_transfers GROUP BY 1
), shadow_account_days AS MATERIALIZED (
  SELECT owner_account_id AS account_id, day AS business_day, sum(delta)::bigint AS delta,
         count(*) AS transfers
  FROM shadow_transfers GROUP BY 1, 2
), shadow_ledger_days AS MATERIALIZED (
  SELECT day AS business_day, count(*) AS transfers,
         coalesce(sum(amount) FILTER (WHERE kind = 'assign_fee'), 0)::bigint AS fees,
         coalesce(sum(amount) FILTER (WHERE kind = 'completion_reward'), 0)::bigint AS rewards,
         coalesce(sum(amount) FILTER (WHERE kind = 'payout'), 0)::bigint AS payouts
  FROM shadow_transfers GROUP BY 1
)"""
# What is kept for somebody to look at.
KEPT = ("transfers", "balances", "account_days", "ledger_days")

# Archives are compared with what the database knows of them as they are loaded.
NOTHING = "SELECT WHERE false"
# Each part: its rows in the shadow, and the rows that are not the same in the ledger.
COMPARISONS: dict[str, tuple[str, str]] = {
    "archived events": (
        "SELECT coalesce(sum(events), 0) FROM outbox_partitions WHERE archived_at IS NOT NULL",
        NOTHING,
    ),
    "board's log": (
        f"SELECT count(*) FROM logs l JOIN {steps_sql()} ON log_type = l.type::text",
        f"""
SELECT l.id, l.task_id, l.event_id, l.type::text,
       CASE WHEN e.event_id IS NULL THEN 'no event' ELSE 'differs' END AS what
FROM logs l JOIN {steps_sql()} ON log_type = l.type::text
LEFT JOIN whole_log e ON e.event_id = l.event_id
WHERE (e.type, e.task_id, e.user_id) IS DISTINCT FROM (event_type, l.task_id, l.user_id)""",
    ),
    "prices": (
        "SELECT count(DISTINCT task_id) FROM whole_log WHERE task_id IS NOT NULL",
        """SELECT DISTINCT s.task_id, 'no price' AS what FROM shadow_transfers s
            WHERE s.amount IS NULL""",
    ),
    "transfers": (
        "SELECT count(*) FROM shadow_transfers",
        """
SELECT coalesce(s.event_id, t.event_id) AS event_id, t.id,
       CASE WHEN t.id IS NULL THEN 'missing in the ledger'
            WHEN s.event_id IS NULL THEN 'not from the log' ELSE 'differs' END AS what,
       s.kind AS kind_ought, t.kind::text AS kind, s.amount AS amount_ought, t.amount,
       s.owner_account_id AS account_ought, t.owner_account_id AS account,
       s.day AS day_ought, t.business_day AS day
FROM shadow_transfers s FULL JOIN account_transfers t ON t.event_id = s.event_id
WHERE (s.kind, s.debit_account_id, s.credit_account_id, s.owner_account_id, s.amount, s.task_id,
       s.day) IS DISTINCT FROM
      (t.kind::text, t.debit_account_id, t.credit_account_id, t.owner_account_id, t.amount,
       t.task_id, t.business_day)
   OR (s.kind IN ('assign_fee', 'completion_reward') AND s.occurred_at <> t.timestamp)""",
    ),
    "running balances": (
        "SELECT count(*) FROM shadow_transfers",
        """
SELECT id, account, version, balance_ought, balance_after FROM (
  SELECT t.id, t.owner_account_id AS account, t.account_version AS version, t.balance_after,
         sum(s.delta) OVER (PARTITION BY s.owner_account_id ORDER BY t.account_version)
           AS balance_ought
  FROM shadow_transfers s JOIN account_transfers t USING (event_id)) AS ordered
WHERE balance_ought IS DISTINCT FROM balance_after""",
    ),
    "balances": (
        "SELECT count(*) FROM shadow_balances",
        """
SELECT a.id AS account, s.balance AS balance_ought, a.balance FROM accounts a
LEFT JOIN shadow_balances s ON s.account_id = a.id
WHERE a.kind = 'employee'
  AND (coalesce(s.balance, 0), coalesce(s.version, 0)) IS DISTINCT FROM (a.balance, a.version)""",
    ),
    "accounts' days": (
        "SELECT count(*) FROM shadow_account_days",
        """
SELECT coalesce(s.account_id, d.account_id) AS account,
       coalesce(s.business_day, d.business_day) AS day, s.delta AS delta_ought, d.delta
FROM shadow_account_days s FULL JOIN account_days d
  ON d.account_id = s.account_id AND d.business_day = s.business_day
WHERE (s.delta, s.transfers) IS DISTINCT FROM (d.delta, d.transfers)""",
    ),
    "days": (
        "SELECT count(*) FROM shadow_ledger_days",
        """
SELECT coalesce(s.business_day, d.business_day) AS day, s.fees AS fees_ought, d.fees,
       s.rewards AS rewards_ought, d.rewards, s.payouts AS payouts_ought, d.payouts
FROM shadow_ledger_days s FULL JOIN ledger_days d ON d.business_day = s.business_day
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
    """Make the ledger again, as the owner, from one moment's log; and compare it with the live one.

    What the log makes is left behind in SCHEMA where something differs, or when `keep` is set; the
    relay waits while that is written, and for nothing else. Raises Unavailable when the role may
    not make a schema or another rebuild is under way, ArchiveDamaged when a part of the log cannot
    be read.
    """
    engine = sa.create_engine(
        settings.sqlalchemy_migration_url,
        connect_args={"options": "-c application_name=ates-replay"},
    )
    timezone = settings.business_timezone
    try:
        with _writing(engine) as writer:
            loaded: list[Manifest] = []
            compared = None
            while compared is None:
                _load(writer, settings, loaded)
                compared = _compare_at_one_moment(engine, timezone, loaded)
            if keep or any(each.differ for each in compared):
                _keep(writer, timezone, archived=bool(loaded))
            else:
                writer.execute(sa.text(f"DROP SCHEMA {SCHEMA} CASCADE"))
    finally:
        engine.dispose()
    return compared


def compare(connection: sa.Connection, timezone: str, *, archived: bool = False) -> list[Compared]:
    """Compare what the log makes with the ledger, reading only.

    `archived`: what was archived is in the schema's table of that name.
    """
    parts = ", ".join(
        f"differ_{n} AS MATERIALIZED ({differing})"
        for n, (_, differing) in enumerate(COMPARISONS.values())
    )
    results = " UNION ALL ".join(
        f"""
SELECT {n} AS n, ({counted})::bigint AS rows, (SELECT count(*) FROM differ_{n}) AS differ,
       (SELECT json_agg(row_to_json(d)) FROM (SELECT * FROM differ_{n} LIMIT {SHOWN}) AS d)
         AS first"""
        for n, (counted, _) in enumerate(COMPARISONS.values())
    )
    statement = f"WITH {_shadow(archived=archived)}, {parts} {results} ORDER BY n"
    connection.execute(sa.text(PLANNED))
    found = connection.execute(sa.text(statement), {"timezone": timezone})
    return [
        Compared(part, row.rows, row.differ, row.first or [])
        for part, row in zip(COMPARISONS, found, strict=True)
    ]


def _shadow(*, archived: bool) -> str:
    """The parts of a WITH that make the ledger."""
    logs = ["public.outbox", *([f"{SCHEMA}.archived"] if archived else [])]
    log = " UNION ALL ".join(f"SELECT {_COLUMNS} FROM {each}" for each in logs)
    return f"whole_log AS NOT MATERIALIZED ({log}), {SHADOW}"


@contextmanager
def _writing(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A connection each of whose statements is a transaction, and the schema, new and empty."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        try:
            if not connection.execute(sa.text(LOCK)).scalar_one():
                raise Unavailable("The ledger is being rebuilt by somebody else")
            connection.execute(sa.text(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE"))
            connection.execute(sa.text(f"CREATE SCHEMA {SCHEMA}"))
        except ProgrammingError as error:
            if getattr(error.orig, "sqlstate", None) == "42501":
                raise Unavailable(
                    "This role may not make a schema: set MIGRATION_DATABASE_URL to the owner's"
                ) from error
            raise
        try:
            yield connection
        except BaseException:
            connection.execute(sa.text(f"DROP SCHEMA {SCHEMA} CASCADE"))
            raise


def _load(writer: sa.Connection, settings: Settings, loaded: list[Manifest]) -> None:
    """Load what is archived and not in `loaded` yet, and add it there."""
    new = [manifest for manifest in archives(writer) if manifest not in loaded]
    if new and not loaded:
        writer.execute(sa.text(ARCHIVED))
    for manifest in new:
        load_archive(writer, settings.archive_folder, manifest, table=f"{SCHEMA}.archived")
        loaded.append(manifest)
    if new:
        writer.execute(sa.text(f"ANALYZE {SCHEMA}.archived"))


def _compare_at_one_moment(
    engine: sa.Engine, timezone: str, loaded: list[Manifest]
) -> list[Compared] | None:
    """Compare in one snapshot; None when something was archived that is not loaded."""
    options: Any = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    with engine.connect().execution_options(**options) as reader:
        # Before the moment is chosen: what is archived after it stays in the log until the end.
        reader.execute(sa.text("LOCK TABLE outbox IN ACCESS SHARE MODE"))
        if archives(reader) != loaded:
            return None
        return compare(reader, timezone, archived=bool(loaded))


def _keep(writer: sa.Connection, timezone: str, *, archived: bool) -> None:
    """Write what the log makes now into the schema."""
    for table in KEPT:
        writer.execute(
            sa.text(
                f"CREATE TABLE {SCHEMA}.{table} AS WITH {_shadow(archived=archived)}"
                f" SELECT * FROM shadow_{table}"
            ),
            {"timezone": timezone},
        )
