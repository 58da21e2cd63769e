"""Closing a day with 10,000 people to pay, beside bare inserts of the same rows.

The bare side is given the finished rows in tables. It copies them into the same tables, with
their keys, checks and triggers, and moves balances and roll-ups, in one transaction: it looks for
nobody to pay, waits for nothing, and seals nothing.
"""

from __future__ import annotations

import time
from datetime import date, timedelta

from app.accounting.commands import ACCOUNTING, pay_to_workers, seal_ledger
from app.auth.actors import actor_named
from app.kernel.actor import Actor
from app.kernel.db import in_transaction
from app.outbox import relay
from bench.company import employ
from bench.relay import count
from bench.report import Line, at_most
from bench.stage import Connection, Stage
from bench.years import STAFF, show

EMPLOYEES = 10_000
DAY = date(2026, 11, 20)
ROUNDS = 3
RATIO_MAX = 3.0

# A task for each employee, created and completed: the reward is never less than the fee, and
# one cent more in all but a few draws.
WORK = """
WITH made AS (
  INSERT INTO tasks (name, assigned_to, created_by, created_at, assigned_at, is_finished,
                     finished_at)
  SELECT 'Mend the fence', id, id, %(at)s, %(at)s, true, %(at)s FROM users
  WHERE role = 'developer' ORDER BY id
  RETURNING id, assigned_to
)
INSERT INTO outbox (type, schema_version, task_id, user_id, actor_id, occurred_at)
SELECT type, 1, made.id, assigned_to, assigned_to, %(at)s
FROM made, (VALUES ('TaskCreated'), ('TaskCompleted')) AS told (type)
"""
# What the closing wrote, to be carried over to the bare side; without the generated column.
WRITTEN = {
    "outbox": "SELECT event_id, type, schema_version, user_id, actor_id, payload FROM outbox"
    " WHERE type = 'PayoutMade' ORDER BY id",
    "account_transfers": "SELECT id, event_id, kind, debit_account_id, credit_account_id,"
    " owner_account_id, amount, balance_after, account_version, timestamp, recorded_at,"
    " business_day FROM account_transfers WHERE kind = 'payout' ORDER BY id",
    "payouts": "SELECT id, business_day, account_id, transfer_id, amount FROM payouts ORDER BY id",
    "emails": "SELECT dedupe_key, message_id, user_id, kind, payout_id FROM emails"
    " WHERE kind = 'payout' ORDER BY id",
}
BARE = """
INSERT INTO outbox (event_id, type, schema_version, user_id, actor_id, payload)
  SELECT event_id, type, schema_version, user_id, actor_id, payload FROM made_outbox;
INSERT INTO account_transfers (id, event_id, kind, debit_account_id, credit_account_id,
    owner_account_id, amount, balance_after, account_version, timestamp, recorded_at,
    business_day) OVERRIDING SYSTEM VALUE SELECT * FROM made_account_transfers;
UPDATE accounts a SET balance = a.balance - m.amount, version = a.version + 1
  FROM made_account_transfers m WHERE a.id = m.owner_account_id;
INSERT INTO payouts (id, business_day, account_id, transfer_id, amount)
  OVERRIDING SYSTEM VALUE SELECT * FROM made_payouts;
INSERT INTO emails (dedupe_key, message_id, user_id, kind, payout_id) SELECT * FROM made_emails;
INSERT INTO account_days AS d (account_id, business_day, payouts, transfers)
  SELECT owner_account_id, business_day, amount, 1 FROM made_account_transfers
  ON CONFLICT (account_id, business_day) DO UPDATE
  SET payouts = d.payouts + excluded.payouts, transfers = d.transfers + 1;
UPDATE ledger_days d SET payouts = m.amount, transfers = d.transfers + m.count
  FROM (SELECT sum(amount) AS amount, count(*) AS count FROM made_payouts) AS m;
"""


def measure(stage: Stage) -> list[Line]:
    """Seconds until the day is closed, paid and sealed, and those of the bare inserts."""
    template = prepare(stage, EMPLOYEES)
    ours, bare = [], []
    for _ in range(ROUNDS):
        database = stage.copy(template)
        ours.append(_closed_s(stage, database))
        bare.append(_bare_s(stage, template, database))
        stage.drop(database)
    stage.drop(template)
    return [
        at_most(
            RATIO_MAX,
            f"closing a day, {EMPLOYEES:,} to pay",
            f"{min(ours):.2f} s",
            ratio=min(ours) / min(bare),
            against="bare SQL",
        ),
        Line(what="bare SQL of the same rows", figure=f"{min(bare):.2f} s"),
    ]


def prepare(stage: Stage, employees: int) -> str:
    """The name of a database in which a day has ended that owes something to each employee."""
    database = stage.copy()
    with stage.superuser(database) as connection:
        employ(connection, employees)
        connection.execute(STAFF)
        with stage.app(database):
            show(DAY, timedelta(hours=20))
            connection.execute(WORK, {"at": f"{DAY} 12:00+00"})
            assert relay.drain(ACCOUNTING, batch=10_000).parked == 0
            seal_ledger()
            show(DAY + timedelta(days=1), timedelta(minutes=5))
        connection.execute("VACUUM ANALYZE")
    return database


def accountant() -> Actor:
    """Who closes the day."""
    return in_transaction(lambda session: actor_named(session, "accountant"))


def _closed_s(stage: Stage, database: str) -> float:
    with stage.app(database):
        actor = accountant()
        began = time.perf_counter()
        closed = pay_to_workers(actor, business_day=DAY)
        took_s = time.perf_counter() - began
    assert closed.paid_count > EMPLOYEES * 0.99, closed
    return took_s


def _bare_s(stage: Stage, template: str, closed: str) -> float:
    database = stage.copy(template)
    with stage.superuser(closed) as source, stage.superuser(database) as target:
        for table, rows in WRITTEN.items():
            _carry(source, target, table, rows)
        paid = count(source, "payouts")
    stage.checkpoint()
    with stage.app_role(database) as connection:
        began = time.perf_counter()
        with connection.transaction():
            connection.execute(BARE)
        took_s = time.perf_counter() - began
        assert count(connection, "payouts") == count(connection, "emails") == paid
    stage.drop(database)
    return took_s


def _carry(source: Connection, target: Connection, table: str, rows: str) -> None:
    """Copy the rows of a query into a table `made_…` of another database."""
    target.execute(f"CREATE TABLE made_{table} AS {rows} LIMIT 0")
    target.execute(f"GRANT SELECT ON made_{table} TO ates_app")
    with (
        source.cursor().copy(f"COPY ({rows}) TO STDOUT (FORMAT binary)") as read,
        target.cursor().copy(f"COPY made_{table} FROM STDIN (FORMAT binary)") as write,
    ):
        for block in read:
            write.write(block)
    target.execute(f"ANALYZE made_{table}")
