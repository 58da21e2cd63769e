"""Years of a company, made day by day through aTES's own statements, and kept for the next bench.

Each day the generator writes tasks, log entries and events as the task tracker's commands do, but
in bulk; from there on everything is aTES's own: the relay posts, the closing pays, the chain is
sealed. Only the mails are marked as sent by hand. What was cut off goes on with the first day that
is not closed, so that a longer history is made by asking for one.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

from sqlalchemy.orm import Session

from app.accounting.commands import ACCOUNTING, pay_to_workers
from app.auth.actors import actor_named
from app.events import TaskAssigned, TaskCompleted, TaskCreated
from app.kernel import clock
from app.kernel.actor import Actor
from app.kernel.db import command, in_transaction, sql
from app.outbox import emit_from, relay
from bench.company import employ
from bench.stage import Connection, Stage, kept_stage

YOUNG = 100_000
FIRST_DAY = date(2023, 11, 20)
ACCOUNTANT, ADMINISTRATOR = "accountant", "admin"
EVENING = timedelta(hours=20)
# One batch a day: the same statements, and each account is touched once.
BATCH = 10_000
TOLD_EVERY_S = 20.0

STAFF = """
INSERT INTO users (role, login, email, hash)
VALUES ('accountant', 'accountant', 'accountant@example.org', '$argon2id$nobody knows it'),
       ('administrator', 'admin', 'admin@example.org', '$argon2id$nobody knows it')
"""
# Written as a superuser whom no foreign key is checked for, and looked up by index.
AS_A_GENERATOR = """
SELECT set_config('session_replication_role', 'replica', true),
       set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true)
"""
_LOGGED = """
INSERT INTO logs (task_id, timestamp, type, user_id, actor_id, event_id)
SELECT task_id, occurred_at, '{type}', user_id, actor_id, event_id FROM {source}
ORDER BY occurred_at
"""
# New tasks in the morning, each for an employee drawn uniformly.
CREATE = f"""
WITH created AS (
  INSERT INTO tasks (ticket_key, name, assigned_to, created_by, created_at, assigned_at)
  SELECT 'YEAR-' || n,
         (ARRAY['Mend', 'Paint', 'Measure', 'Inspect', 'Order', 'Weigh', 'Label', 'Move'])
           [random(1, 8)] || ' the ' ||
         (ARRAY['fence', 'gate', 'perch', 'roof', 'seed', 'cage', 'sprinkler', 'lamp', 'bowl'])
           [random(1, 9)] || ' of hall ' || random(1, 500),
         (%(roster)s::bigint[])[random(1, cardinality(%(roster)s::bigint[]))],
         (SELECT id FROM users WHERE login = 'person-0'), at, at
  FROM (SELECT n, %(day)s::timestamptz + interval '8 hours' + random() * interval '4 hours' AS at
        FROM generate_series(1, %(created)s) AS n ORDER BY at) AS drawn
  RETURNING id AS task_id, assigned_to AS user_id, created_by AS actor_id,
            created_at AS occurred_at, uuidv7() AS event_id
), logged AS ({_LOGGED.format(type="create", source="created")}
), told AS ({emit_from(TaskCreated, "created")})
SELECT count(*) FROM created
"""
# At one o'clock some of the open tasks are given to others.
REASSIGN = f"""
WITH chosen AS MATERIALIZED (
  SELECT id FROM tasks WHERE NOT is_finished ORDER BY random() LIMIT %(reassigned)s
), assigned AS (
  UPDATE tasks t SET assignments = assignments + 1,
    assigned_at = %(day)s::timestamptz + interval '13 hours',
    assigned_to = (%(roster)s::bigint[])[random(1, cardinality(%(roster)s::bigint[]))]
  FROM chosen WHERE t.id = chosen.id
  RETURNING t.id AS task_id, t.assigned_to AS user_id, t.created_by AS actor_id,
            t.assigned_at AS occurred_at, uuidv7() AS event_id
), logged AS ({_LOGGED.format(type="assign", source="assigned")}
), told AS ({emit_from(TaskAssigned, "assigned")})
SELECT count(*) FROM assigned
"""
# In the afternoon all are finished but those that stay open overnight.
COMPLETE = f"""
WITH chosen AS MATERIALIZED (
  SELECT id FROM tasks WHERE NOT is_finished ORDER BY random()
  LIMIT greatest(0, (SELECT count(*) FROM tasks WHERE NOT is_finished) - %(left_open)s)
), done AS (
  UPDATE tasks t SET is_finished = true, finished_at =
    %(day)s::timestamptz + interval '14 hours' + random() * interval '4 hours'
  FROM chosen WHERE t.id = chosen.id
  RETURNING t.id AS task_id, t.assigned_to AS user_id, t.assigned_to AS actor_id,
            t.finished_at AS occurred_at, uuidv7() AS event_id
), logged AS ({_LOGGED.format(type="complete", source="done")}
), told AS ({emit_from(TaskCompleted, "done")})
SELECT count(*) FROM done
"""
IS_WRITTEN = "SELECT EXISTS (SELECT FROM tasks WHERE created_at >= %(day)s::timestamptz)"
ROSTER = "SELECT array_agg(id ORDER BY id) FROM users WHERE is_assignable"
# Made anew when the history is whole: nobody searches meanwhile.
WITHOUT_SEARCH = "DROP INDEX IF EXISTS tasks_search_idx"
WITH_SEARCH = """
CREATE INDEX IF NOT EXISTS tasks_search_idx ON tasks
  USING gin ((coalesce(ticket_key, '') || ' ' || name) gin_trgm_ops)
"""
FIRST_OPEN = sql("SELECT max(day) + 1 FROM business_days WHERE status = 'closed'")
TRANSFERS = sql("SELECT coalesce(sum(transfers), 0)::bigint FROM ledger_days")
# Half a million files of mail would tell nothing: they count as sent.
MAILS_ARE_SENT = sql("""
UPDATE emails SET state = 'sent', sent_at = now() WHERE state = 'queued'
""")
# Nobody reads what they would be told of years ago.
NOTHING_TO_TELL = """
UPDATE outbox_cursors n SET xid = a.xid, id = a.id, updated_at = now()
FROM outbox_cursors a WHERE a.consumer = 'accounting' AND n.consumer <> 'accounting'
"""


@dataclass(frozen=True, kw_only=True)
class Business:
    """How many employees a company has, and what happens on each of its days."""

    employees: int
    created: int
    reassigned: int
    left_open: int


# About 9,150 transfers a day with its payouts, 10 million in three years.
USUAL = Business(employees=1_000, created=3_200, reassigned=2_500, left_open=4_500)
# A hundred times what bin/run's demo company has after its month: 4,190 transfers of 20 employees,
# 1,471 tasks, 1,140 of them reassigned, 70 open.
HUNDRED_DEMOS = Business(employees=2_000, created=4_900, reassigned=3_800, left_open=7_000)
HUNDRED_DEMOS_TRANSFERS = 419_000


@dataclass(frozen=True)
class History:
    """A database that holds a company's years; `today` goes on, and its evening has come."""

    database: str
    transfers: int
    today: date


@dataclass(frozen=True)
class Years:
    """The same company when it was young and when it is old, and a larger one, on one server."""

    stage: Stage
    young: History
    old: History
    hundred_demos: History


@contextmanager
def years(folder: Path, *, transfers: int) -> Iterator[Years]:
    """The histories in `folder`, made there if they are not yet, with their clocks set."""
    wanted = {f"years_{number}": (USUAL, number) for number in (YOUNG, transfers)}
    wanted["hundred_demos"] = (HUNDRED_DEMOS, HUNDRED_DEMOS_TRANSFERS)
    missing = [name for name in wanted if not _note(folder, name).exists()]
    if missing:
        with kept_stage(folder, durable=False) as stage:
            for name in missing:
                business, number = wanted[name]
                history = make(stage, name, business, transfers=number)
                _note(folder, name).write_text(json.dumps(asdict(history), default=str))
    with kept_stage(folder) as stage:
        yield Years(stage, *(_opened(stage, folder, name) for name in wanted))


def _note(folder: Path, database: str) -> Path:
    """Where it is written down that a history is whole."""
    return folder / f"{database}.json"


def _opened(stage: Stage, folder: Path, database: str) -> History:
    """A history that is there, migrated to what the code expects, its clock in its evening."""
    kept = json.loads(_note(folder, database).read_text())
    history = History(database, kept["transfers"], date.fromisoformat(kept["today"]))
    stage.keep(database)
    with stage.superuser(database) as connection:
        connection.execute(NOTHING_TO_TELL)
    with stage.app(database):
        show(history.today, EVENING)
    return history


def make(stage: Stage, database: str, business: Business, *, transfers: int) -> History:
    """Have `database` hold at least `transfers` of a company's history, made if need be."""
    stage.keep(database)
    with stage.superuser(database) as connection:
        if connection.execute("SELECT FROM users").rowcount == 0:
            employ(connection, business.employees)
            connection.execute(STAFF)
        with stage.app(database):
            history = _play(connection, database, business, transfers)
        connection.execute(WITH_SEARCH)
        _tidy(connection)
    return history


def _play(connection: Connection, database: str, business: Business, wanted: int) -> History:
    accountant = in_transaction(lambda session: actor_named(session, ACCOUNTANT))
    told_at = began = time.monotonic()
    had = _transfers()
    while True:
        day = _first_open_day()
        show(day, EVENING)
        _write(connection, business, day)
        relay.drain(ACCOUNTING, batch=BATCH)
        made = _transfers()
        if time.monotonic() - told_at > TOLD_EVERY_S:
            told_at = time.monotonic()
            rate = (made - had) / (told_at - began)
            print(f"{day}: {made:,} transfers, {rate:,.0f}/s", file=sys.stderr, flush=True)
        if made >= wanted:
            return History(database, made, day)
        _close(accountant, day)


def _write(connection: Connection, business: Business, day: date) -> None:
    """The day's work on the board, in one transaction: it is there as a whole or not at all."""
    names = {"day": f"{day} 00:00+00", **asdict(business)}
    if connection.execute(IS_WRITTEN, names).fetchone() == (True,):
        return
    connection.execute(WITHOUT_SEARCH)
    (roster,) = connection.execute(ROSTER).fetchone() or (None,)
    with connection.transaction():
        connection.execute(AS_A_GENERATOR)
        for statement in (CREATE, REASSIGN, COMPLETE):
            connection.execute(statement, {**names, "roster": roster})


def _close(accountant: Actor, day: date) -> None:
    show(day + timedelta(days=1), timedelta(minutes=5))
    pay_to_workers(accountant, business_day=day)
    in_transaction(lambda session: session.execute(MAILS_ARE_SENT))


def _tidy(connection: Connection) -> None:
    """Leave the tables as autovacuum would have by morning."""
    row = connection.execute(
        "SELECT count(*) FROM pg_stat_user_tables WHERE n_ins_since_vacuum > 1000"
        " OR n_dead_tup > 1000 OR n_mod_since_analyze > 1000"
    ).fetchone()
    if row != (0,):
        connection.execute("VACUUM ANALYZE")


@command
def _first_open_day(session: Session) -> date:
    day: date | None = session.execute(FIRST_OPEN).scalar()
    return day or FIRST_DAY


@command
def _transfers(session: Session) -> int:
    return int(session.execute(TRANSFERS).scalar_one())


@command
def show(session: Session, day: date, after_midnight: timedelta) -> None:
    """Have the business clock show a time of `day`."""
    midnight: datetime = clock.start_of(session, day, "UTC")
    clock.move_to(session, midnight + after_midnight)
