"""Reassigning every open task in one transaction, beside the same changes by bare SQL.

The bare side is one UPDATE of the tasks and one INSERT each into the log and the outbox, read back
from the tasks, in one transaction. It knows the employees beforehand, locks nothing first, and
checks nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from app.kernel.actor import Actor
from app.kernel.policy import Role
from app.tasks.commands import reassign_tasks
from bench.company import employ, give_tasks
from bench.relay import count
from bench.report import Line, at_most
from bench.stage import Stage

TASKS = 100_000
EMPLOYEES = 20
ROUNDS = 3

UPDATE = """
UPDATE tasks SET assigned_to = (%(employees)s::bigint[])[random(1, cardinality(%(employees)s))],
                 assigned_at = business_now(), assignments = assignments + 1
WHERE NOT is_finished
"""
LOG = """
INSERT INTO logs (task_id, timestamp, type, user_id, actor_id, event_id)
SELECT id, assigned_at, 'assign', assigned_to, %(actor)s, uuidv7() FROM tasks WHERE NOT is_finished
"""
TELL = """
INSERT INTO outbox (event_id, type, schema_version, task_id, user_id, actor_id, occurred_at)
SELECT uuidv7(), 'TaskAssigned', 1, id, assigned_to, %(actor)s, assigned_at
FROM tasks WHERE NOT is_finished
"""


def measure(stage: Stage) -> list[Line]:
    """Seconds for all open tasks, each side on a fresh copy of the same database, in turn."""
    template = stage.copy()
    with stage.superuser(template) as connection:
        employ(connection, EMPLOYEES)
        give_tasks(connection, tasks=TASKS, employees=EMPLOYEES)
        connection.execute("VACUUM ANALYZE")
    ours, bare = [], []
    for _ in range(ROUNDS):
        bare.append(_on_a_copy(stage, template, _bare_s))
        ours.append(_on_a_copy(stage, template, _ours_s))
    stage.drop(template)
    ratio = min(ours) / min(bare)
    return [
        at_most(2.0, "reassign_tasks", f"{min(ours):.2f} s", ratio=ratio, against="bare SQL"),
        Line(what="bare SQL", figure=f"{min(bare):.2f} s"),
    ]


def _on_a_copy(stage: Stage, template: str, side: Callable[[Stage, str], float]) -> float:
    database = stage.copy(template)
    took_s = side(stage, database)
    with stage.superuser(database) as connection:
        assert count(connection, "outbox") == count(connection, "logs") == TASKS
    stage.drop(database)
    return took_s


def _ours_s(stage: Stage, database: str) -> float:
    with stage.app(database), stage.superuser(database) as connection:
        row = connection.execute("SELECT id, login FROM users WHERE role = 'manager'").fetchone()
        assert row is not None
        actor = Actor(row[0], row[1], Role.MANAGER)
        began = time.perf_counter()
        assert reassign_tasks(actor).count == TASKS
        return time.perf_counter() - began


def _bare_s(stage: Stage, database: str) -> float:
    with stage.app_role(database) as connection:
        rows = connection.execute("SELECT id, role FROM users ORDER BY id").fetchall()
        names = {
            "employees": [row[0] for row in rows if row[1] == "developer"],
            "actor": next(row[0] for row in rows if row[1] == "manager"),
        }
        began = time.perf_counter()
        with connection.transaction():
            for statement in (UPDATE, LOG, TELL):
                connection.execute(statement, names)
        return time.perf_counter() - began
