"""The relay's speed, beside bare set-based writes of what it wrote.

The bare side is given the finished rows in a table. It copies the transfers, and the prices, into
the same tables, with their keys, checks and indexes, and adds up balances and roll-ups: one
statement each a batch, as many events a batch and a commit as the relay has. It reads no log,
knows every price, and checks nothing. Shown too is a side that copies the transfers alone.
"""

from __future__ import annotations

import time

from app.accounting.commands import ACCOUNTING
from app.outbox import relay
from bench.company import EVENTS_PER_TASK, TASKS_PER_TRANSACTION, employ, give_tasks, tell
from bench.report import Line, at_least
from bench.stage import Connection, Stage

TASKS = 8_000
EVENTS = round(TASKS * EVENTS_PER_TASK)
EMPLOYEES = (20, 1_000)
ROUNDS = 5

# Keeps what the relay made, for the bare side.
SET_ASIDE = """
CREATE TABLE made AS SELECT * FROM account_transfers;
CREATE UNIQUE INDEX ON made (id);
CREATE TABLE made_prices AS
  SELECT p.*, m.first FROM task_prices p
  JOIN (SELECT task_id, min(id) AS first FROM made GROUP BY task_id) AS m USING (task_id);
CREATE UNIQUE INDEX ON made_prices (first);
GRANT SELECT ON made, made_prices TO ates_app;
"""
# Empties the tables that a side fills.
EMPTY = """
SET session_replication_role = replica;
TRUNCATE account_transfers, task_prices, account_days, ledger_days CASCADE;
UPDATE accounts SET balance = 0, version = 0 WHERE kind = 'employee';
RESET session_replication_role;
"""
TRANSFERS = """
INSERT INTO account_transfers (event_id, kind, debit_account_id, credit_account_id,
  owner_account_id, amount, balance_after, account_version, timestamp, recorded_at, business_day,
  late, task_id)
SELECT event_id, kind, debit_account_id, credit_account_id, owner_account_id, amount,
       balance_after, account_version, timestamp, recorded_at, business_day, late, task_id
FROM made WHERE id > %(after)s AND id <= %(until)s ORDER BY id
"""
PRICES = """
INSERT INTO task_prices SELECT task_id, assign_price, complete_price
FROM made_prices WHERE first > %(after)s AND first <= %(until)s
"""
BALANCES = """
UPDATE accounts a SET balance = a.balance + s.delta, version = a.version + s.transfers
FROM (SELECT owner_account_id, sum(delta_balance) AS delta, count(*) AS transfers FROM made
      WHERE id > %(after)s AND id <= %(until)s GROUP BY 1) AS s
WHERE a.id = s.owner_account_id
"""
ROLL_UP = """
INSERT INTO {table} AS d ({key}, fees, rewards, transfers)
SELECT {source}, coalesce(sum(amount) FILTER (WHERE kind = 'assign_fee'), 0),
       coalesce(sum(amount) FILTER (WHERE kind = 'completion_reward'), 0), count(*)
FROM made WHERE id > %(after)s AND id <= %(until)s GROUP BY {source}
ON CONFLICT ({key}) DO UPDATE SET fees = d.fees + excluded.fees,
  rewards = d.rewards + excluded.rewards, transfers = d.transfers + excluded.transfers
"""
BY_ACCOUNT = ROLL_UP.format(
    table="account_days",
    key="account_id, business_day",
    source="owner_account_id, business_day",
)
BY_DAY = ROLL_UP.format(table="ledger_days", key="business_day", source="business_day")
TRANSFERS_ALONE = (TRANSFERS,)
ALL_TABLES = (TRANSFERS, PRICES, BALANCES, BY_ACCOUNT, BY_DAY)


def measure(stage: Stage) -> list[Line]:
    """Events a second of a drain, for few and for many employees."""
    return [line for employees in EMPLOYEES for line in _measure(stage, employees)]


def prepare(
    stage: Stage, *, tasks: int, employees: int, tasks_per_transaction: int = TASKS_PER_TRANSACTION
) -> str:
    """The name of a database in which events about `tasks` tasks wait."""
    database = stage.copy()
    with stage.superuser(database) as connection:
        employ(connection, employees)
        give_tasks(connection, tasks=tasks, employees=employees)
        tell(connection, tasks=tasks, employees=employees, at_once=tasks_per_transaction)
        connection.execute("VACUUM ANALYZE")
    return database


def drained_per_s(stage: Stage, database: str) -> float:
    """Events a second of our relay, until nothing waits in `database`."""
    with stage.app(database), stage.superuser(database) as connection:
        waiting = count(connection, "outbox")
        began = time.perf_counter()
        done = relay.drain(ACCOUNTING)
        took_s = time.perf_counter() - began
        assert done == relay.Drained(events=waiting), done
        assert count(connection, "account_transfers") == waiting
    return waiting / took_s


def count(connection: Connection, table: str) -> int:
    """How many rows a table has."""
    row = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    assert row is not None
    rows: int = row[0]
    return rows


def _measure(stage: Stage, employees: int) -> list[Line]:
    template = prepare(stage, tasks=TASKS, employees=employees)
    ours, alone, all_tables = [], [], []
    for _ in range(ROUNDS):
        database = stage.copy(template)
        ours.append(drained_per_s(stage, database))
        with stage.superuser(database) as connection:
            connection.execute(SET_ASIDE)
        alone.append(_inserted_per_s(stage, database, TRANSFERS_ALONE))
        all_tables.append(_inserted_per_s(stage, database, ALL_TABLES))
        stage.drop(database)
    stage.drop(template)
    relayed, limit, full = max(ours), max(alone), max(all_tables)
    return [
        at_least(
            0.5,
            f"relay, {employees:,} employees",
            f"{relayed:,.0f}/s",
            ratio=relayed / full,
            against="bare, all tables",
        ),
        Line(what="bare, all tables", figure=f"{full:,.0f}/s"),
        Line(
            what="bare, transfers alone",
            figure=f"{limit:,.0f}/s",
            ratio=relayed / limit,
            against="(the relay to this)",
        ),
    ]


def _inserted_per_s(stage: Stage, database: str, statements: tuple[str, ...]) -> float:
    with stage.superuser(database) as connection:
        connection.execute(EMPTY)
        connection.execute("VACUUM ANALYZE accounts, made, made_prices, account_transfers")
        rows = count(connection, "made")
    stage.checkpoint()
    with stage.app_role(database) as connection:
        began = time.perf_counter()
        for after in range(0, rows, relay.BATCH):
            names = {"after": after, "until": after + relay.BATCH}
            with connection.transaction():
                for statement in statements:
                    connection.execute(statement, names)
        took_s = time.perf_counter() - began
    return rows / took_s
