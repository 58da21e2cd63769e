"""Rows 23, 24 and 25: the log delivered twice, out of order, and with poison in it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from random import Random
from typing import Any

import psycopg
from sqlalchemy.exc import DBAPIError

from app.accounting.commands import posting
from app.accounting.consumer import CONSUMER
from app.events import StoredEvent, TaskCompleted, read
from app.kernel.actor import Actor
from app.kernel.db import in_transaction
from app.kernel.policy import Role
from app.outbox import relay
from app.tasks.commands import complete_task, create_tasks, reassign_tasks
from app.tasks.models import Draft
from tests.faults.rows_processes import DROP_UNIQUE
from tests.faults.storm import Stage
from tests.faults.system import System
from tests.faults.variants import CHANGES
from tests.faults.verdict import Outcome
from tests.oracle import findings

TASKS = 60
# All of the ledger that does not depend on the order and time of posting.
LEDGER_HASH = """
SELECT md5(string_agg(line, ';' ORDER BY line)) FROM (
  SELECT concat_ws(',', t.event_id, t.kind, a.user_id, t.amount, t.business_day) AS line
    FROM account_transfers t JOIN accounts a ON a.id = t.owner_account_id
  UNION ALL SELECT concat_ws(',', 'balance', user_id, balance, version) FROM accounts
    WHERE kind = 'employee'
  UNION ALL SELECT concat_ws(',', 'days', a.user_id, d.business_day, d.fees, d.rewards, d.transfers)
    FROM account_days d JOIN accounts a ON a.id = d.account_id
  UNION ALL SELECT concat_ws(',', 'day', business_day, fees, rewards, transfers) FROM ledger_days
) AS lines
"""
FROM_THE_START = "UPDATE outbox_cursors SET xid = '0', id = 0, epoch = epoch + 1"
ALL = """
SELECT xid::text::bigint, id, event_id, type, schema_version, task_id, user_id, actor_id,
       occurred_at, payload FROM outbox ORDER BY outbox.xid, id
"""
POISON = """
INSERT INTO outbox (type, schema_version, task_id, user_id, actor_id)
SELECT v.type, v.version, t.id, CASE WHEN v.user_is_known THEN t.assigned_to END, t.assigned_to
FROM (SELECT id, assigned_to FROM tasks ORDER BY id LIMIT 1) AS t,
  (VALUES ('TaskCreated', 99, true), ('TaskTeleported', 1, true), ('TaskAssigned', 1, false))
    AS v (type, version, user_is_known)
"""
NOTHING_HIDDEN = """
SELECT bool_and(xid < pg_snapshot_xmin(pg_current_snapshot())) FROM outbox
"""
PARKED = "SELECT type, cause FROM dead_letters WHERE state = 'parked' ORDER BY type"


def delivered_twice(stage: Stage, dice: Random, *, sabotaged: bool) -> Outcome:
    """The cursor goes back to the beginning, as after a restore: nothing moves twice."""
    system = stage.system
    database = system.new_database()
    post = posting.POST
    with system.app(database) as app, app.app_context(), _superuser(system, database) as superuser:
        _play(system, dice)
        relay.drain(CONSUMER)
        before = _value(superuser, LEDGER_HASH)
        superuser.execute(FROM_THE_START)
        if sabotaged:
            superuser.execute(DROP_UNIQUE)
            CHANGES["ledger_does_not_look"]()
        try:
            relay.drain(CONSUMER)
        finally:
            posting.POST = post
        outcome = _outcome(superuser)
        outcome.check(_value(superuser, LEDGER_HASH) == before, "the ledger changed")
        return outcome


def out_of_order(stage: Stage, dice: Random, *, sabotaged: bool) -> Outcome:
    """The same events shuffled, completions before assignments, in batches of any size."""
    system = stage.system
    database = system.new_database()
    with system.app(database) as app, app.app_context(), _superuser(system, database) as superuser:
        _play(system, dice)
        stored = [StoredEvent(*row) for row in superuser.execute(ALL).fetchall()]
        stored = [event for event in stored if event.type in CONSUMER.types]
        relay.drain(CONSUMER)
        ordered = _value(superuser, LEDGER_HASH)
        prices = superuser.execute("SELECT * FROM task_prices").fetchall()
    database = _copied(system, database)
    with system.app(database) as app, app.app_context(), _superuser(system, database) as superuser:
        for price in prices:  # drawn once, at whatever event comes first
            superuser.execute("INSERT INTO task_prices VALUES (%s, %s, %s)", price[:3])
        dice.shuffle(stored)
        _post_in_batches(stored, dice, drops_early=sabotaged)
        superuser.execute("SET session_replication_role = replica")
        outcome = _outcome(superuser, cursor=False)
        outcome.check(_value(superuser, LEDGER_HASH) == ordered, "the ledger differs")
        return outcome


def poisoned(stage: Stage, dice: Random, *, sabotaged: bool) -> Outcome:
    """Events that nobody can read among good ones: they are parked, named, and hold nobody up."""
    system = stage.system
    database = system.new_database()
    post = relay._post
    if sabotaged:
        relay._post = _post_all_or_none
    try:
        with (
            system.app(database) as app,
            app.app_context(),
            _superuser(system, database) as superuser,
        ):
            _play(system, dice)
            superuser.execute(POISON)
            _play(system, dice)
            # Old transactions of any database hide events; the poison shall be among good ones.
            system.wait_for(lambda: bool(_value(superuser, NOTHING_HIDDEN)), "all can be read")
            with suppress(DBAPIError, ValueError):
                relay.drain(CONSUMER)
            outcome = _outcome(superuser)
            parked = superuser.execute(PARKED).fetchall()
    finally:
        relay._post = post
    types = [row[0] for row in parked]
    outcome.wrong = [what for what in outcome.wrong if not what.startswith("no event is parked")]
    outcome.check(types == ["TaskAssigned", "TaskCreated", "TaskTeleported"], f"parked: {types}")
    outcome.check(all(row[1] for row in parked), "a dead letter without its cause")
    return outcome


def _play(system: System, dice: Random) -> None:
    manager = Actor(system.people["mary"][0], "mary", Role.MANAGER)
    made = create_tasks(manager, [Draft(f"Fence {number}") for number in range(TASKS)])
    reassign_tasks(manager)
    for task in dice.sample(made, TASKS // 2):
        owner = _assignee(task.task_id)
        complete_task(Actor(owner, "parrot", Role.DEVELOPER), task.task_id)


def _assignee(task_id: int) -> int:
    from app.kernel.db import sql

    statement = sql("SELECT assigned_to FROM tasks WHERE id = :id")
    return int(in_transaction(lambda s: s.execute(statement, {"id": task_id}).scalar_one()))


def _post_in_batches(stored: list[StoredEvent], dice: Random, *, drops_early: bool) -> None:
    assigned: set[int | None] = set()
    rest = [read(event) for event in stored]
    while rest:
        size = dice.randint(1, 40)
        batch, rest = rest[:size], rest[size:]
        if drops_early:  # a ledger that needs the assignment before the completion
            batch = [e for e in batch if not isinstance(e, TaskCompleted) or e.task_id in assigned]
            assigned |= {event.task_id for event in batch}  # type: ignore[attr-defined]
        if batch:
            in_transaction(lambda session, batch=batch: posting.post(session, batch))


def _post_all_or_none(session: Any, consumer: Any, stored: Sequence[StoredEvent]) -> int:
    """Sabotage of 25: one bad event sets its whole batch aside."""
    try:
        with session.begin_nested():
            consumer.post(session, [read(event) for event in stored])
    except Exception as error:  # noqa: BLE001 - what the sabotage is about
        for event in stored:
            relay.park(session, consumer.name, event, error)
        return len(stored)
    return 0


def _copied(system: System, database: str) -> str:
    """A database with the same board and log, and an empty ledger."""
    copy = system.new_database()
    with system.connect() as connection:
        connection.execute(f"DROP DATABASE {copy}")
    system.cluster.create_database(copy, database)
    with _superuser(system, copy) as superuser:
        superuser.execute("SET session_replication_role = replica")
        superuser.execute("DELETE FROM accounts WHERE kind = 'employee'")
        for table in ("account_transfers", "account_days", "ledger_days", "task_prices"):
            superuser.execute(f"DELETE FROM {table}")
        superuser.execute("ALTER SEQUENCE accounts_id_seq RESTART")
        superuser.execute("SELECT setval('accounts_id_seq', (SELECT max(id) FROM accounts))")
    return copy


def _superuser(system: System, database: str) -> psycopg.Connection[Any]:
    return psycopg.connect(system.cluster.superuser_url(database), autocommit=True)


def _value(connection: psycopg.Connection[Any], statement: str) -> Any:
    row = connection.execute(statement).fetchone()
    assert row
    return row[0]


def _outcome(connection: psycopg.Connection[Any], *, cursor: bool = True) -> Outcome:
    logged = _value(connection, "SELECT count(*) FROM logs WHERE type <> 'other'")
    broken = findings(connection)
    if not cursor:
        broken.pop("no event waits", None)
    outcome = Outcome(attempts=logged, acknowledged=logged)
    statement = """SELECT count(*) FILTER (WHERE n = 0), count(*) FILTER (WHERE n > 1) FROM (
        SELECT l.id, count(t.id) AS n FROM logs l LEFT JOIN account_transfers t USING (event_id)
        WHERE l.type <> 'other' GROUP BY l.id) AS entries"""
    outcome.lost, outcome.doubled = connection.execute(statement).fetchall()[0]
    outcome.wrong += [f"{rule}: {rows[:3]}" for rule, rows in broken.items()]
    return outcome
