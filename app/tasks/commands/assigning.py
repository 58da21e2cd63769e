"""Tasks are created, completed, assigned again: change, log row and event in one statement each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from app.events import EmployeeUnassignable, TaskAssigned, TaskCompleted, TaskCreated
from app.kernel.actor import Actor
from app.kernel.db import command, sql
from app.kernel.errors import Conflict, NotFound
from app.outbox import emit_from, wake_relay
from app.tasks.models import Draft, checked_description, split_name

# Shared by all who assign tasks, exclusive for whoever changes who may be assigned any: a person
# who is leaving cannot be given a task by a transaction that still saw them.
SHARE_ROSTER = sql("SELECT pg_advisory_xact_lock_shared(2)")
# One reassignment at a time.
LOCK_REASSIGNMENT = sql("SELECT pg_advisory_xact_lock(3)")

# Creates tasks from arrays, each for an employee drawn uniformly among those who can be assigned.
CREATE_TASKS = sql(f"""
WITH roster AS MATERIALIZED (
  SELECT array_agg(id) AS ids, count(*)::int AS n FROM users WHERE is_assignable
), drawn AS MATERIALIZED (
  SELECT d.ticket_key, d.name, d.description, d.ordinality,
         roster.ids[random(1, roster.n)] AS employee
  FROM roster, unnest(CAST(:keys AS text[]), CAST(:names AS text[]),
                      CAST(:descriptions AS text[])) WITH ORDINALITY
                 AS d (ticket_key, name, description, ordinality)
  WHERE roster.n > 0
), created AS (
  INSERT INTO tasks (ticket_key, name, description, assigned_to, created_by)
  SELECT ticket_key, name, description, employee, :actor_id FROM drawn ORDER BY ordinality
  RETURNING id AS task_id, name, assigned_to AS user_id, created_by AS actor_id,
            created_at AS occurred_at, uuidv7() AS event_id
), logged AS (
  INSERT INTO logs (task_id, timestamp, type, user_id, actor_id, event_id)
  SELECT task_id, occurred_at, 'create', user_id, actor_id, event_id FROM created
), told AS (
  {emit_from(TaskCreated, "created")}
)
SELECT c.task_id, c.name, c.user_id, u.login FROM created c JOIN users u ON u.id = c.user_id
ORDER BY c.task_id
""")

# Completes a task of the actor's that is open; no row when there is none. A reassignment that
# holds the row is waited for, and then decides: the condition is checked again.
COMPLETE_TASK = sql(f"""
WITH done AS (
  UPDATE tasks SET is_finished = true, finished_at = business_now()
  WHERE id = :task_id AND assigned_to = :actor_id AND NOT is_finished
  RETURNING id AS task_id, assigned_to AS user_id, assigned_to AS actor_id,
            finished_at AS occurred_at, uuidv7() AS event_id
), logged AS (
  INSERT INTO logs (task_id, timestamp, type, user_id, actor_id, event_id)
  SELECT task_id, occurred_at, 'complete', user_id, actor_id, event_id FROM done
), told AS (
  {emit_from(TaskCompleted, "done")}
)
SELECT task_id FROM done
""")
# Why a completion found nothing to do.
STATE_OF_OWN_TASK = sql(
    "SELECT is_finished FROM tasks WHERE id = :task_id AND assigned_to = :actor_id"
)

_ASSIGN_AGAIN = f"""
WITH roster AS MATERIALIZED (
  SELECT array_agg(id) AS ids, count(*)::int AS n FROM users WHERE is_assignable
), open AS MATERIALIZED (
  SELECT id FROM tasks WHERE NOT is_finished AND {{which}} ORDER BY id FOR NO KEY UPDATE
), drawn AS MATERIALIZED (
  SELECT open.id, roster.ids[random(1, roster.n)] AS employee
  FROM open, roster WHERE roster.n > 0
), assigned AS (
  UPDATE tasks SET assigned_to = drawn.employee, assigned_at = business_now(),
                   assignments = tasks.assignments + 1
  FROM drawn WHERE tasks.id = drawn.id
  RETURNING tasks.id AS task_id, tasks.assigned_to AS user_id,
            CAST(:actor_id AS bigint) AS actor_id,
            tasks.assigned_at AS occurred_at, uuidv7() AS event_id
), logged AS (
  INSERT INTO logs (task_id, timestamp, type, user_id, actor_id, event_id)
  SELECT task_id, occurred_at, 'assign', user_id, actor_id, event_id FROM assigned
), told AS (
  {emit_from(TaskAssigned, "assigned")}
), counted AS (
  SELECT (SELECT count(*) FROM open) AS open, (SELECT count(*) FROM assigned) AS assigned
)
"""
# Draws a fresh assignee for every open task; the one who has it may be drawn again. The row that is
# written beside them has the transaction's xid, by which its events are found.
REASSIGN_ALL = sql(f"""{_ASSIGN_AGAIN.format(which="true")}
INSERT INTO reassignments (actor_id, tasks) SELECT :actor_id, assigned FROM counted
RETURNING (SELECT open FROM counted) AS open, tasks AS assigned, id
""")
# The same for the open tasks of one employee.
HAND_OVER = sql(f"""{_ASSIGN_AGAIN.format(which="assigned_to = :employee_id")}
SELECT open, assigned FROM counted
""")


@dataclass(frozen=True, slots=True)
class CreatedTask:
    """A task that was created, and the employee who was drawn for it."""

    task_id: int
    name: str
    assigned_to: int
    assignee_login: str


@dataclass(frozen=True, slots=True)
class Reassigned:
    """A reassignment of all open tasks: its id, by which it can be watched, and how many."""

    id: int
    count: int


@command
def create_task(
    _session: Session, actor: Actor, *, name: str, description: str = ""
) -> CreatedTask:
    """Create a task and assign it to a random assignable employee, who will be charged its fee.

    Raises BadInput for a bad name or description, Conflict when nobody can be assigned.
    """
    return create_tasks(actor, [Draft(name, description)])[0]


@command
def create_tasks(session: Session, actor: Actor, drafts: Sequence[Draft]) -> list[CreatedTask]:
    """Create many tasks, all or none, in the order given. Raises as `create_task` does."""
    actor.require("create_task")
    named = [split_name(draft.name) for draft in drafts]
    session.execute(SHARE_ROSTER)
    rows = session.execute(
        CREATE_TASKS,
        {
            "actor_id": actor.user_id,
            "keys": [key for key, _ in named],
            "names": [name for _, name in named],
            "descriptions": [checked_description(draft.description) for draft in drafts],
        },
    ).all()
    if drafts and not rows:
        raise Conflict("No employee can be assigned a task: add one first")
    wake_relay(session)
    return [CreatedTask(*row) for row in rows]


@command
def complete_task(session: Session, actor: Actor, task_id: int) -> None:
    """Complete an open task of the actor's own; its reward is theirs.

    Raises Conflict when it is finished already (and pays nothing), NotFound when there is no such
    task or it is (by now) somebody else's.
    """
    actor.require("complete_own_task")
    names = {"task_id": task_id, "actor_id": actor.user_id}
    if session.execute(COMPLETE_TASK, names).first():
        wake_relay(session)
        return
    if session.execute(STATE_OF_OWN_TASK, names).scalar():
        raise Conflict("This task is finished already")
    raise NotFound("You have no such task: it may have been given to somebody else")


@command
def reassign_tasks(session: Session, actor: Actor) -> Reassigned:
    """Draw a fresh random assignee for every open task, in one transaction.

    Raises Conflict when there are open tasks and nobody can be assigned.
    """
    actor.require("reassign_tasks")
    session.execute(LOCK_REASSIGNMENT)
    session.execute(SHARE_ROSTER)
    row = session.execute(REASSIGN_ALL, {"actor_id": actor.user_id}).one()
    _require_all_assigned(row, session)
    return Reassigned(row.id, row.assigned)


def hand_over(session: Session, event: EmployeeUnassignable) -> None:
    """Give the open tasks of an employee who cannot be assigned any more to others.

    Runs in the transaction that changes the person, which holds the roster exclusively. Raises
    Conflict when there is nobody left to take them.
    """
    names = {"actor_id": event.actor_id, "employee_id": event.user_id}
    _require_all_assigned(session.execute(HAND_OVER, names).one(), session)


def _require_all_assigned(row: Any, session: Session) -> None:
    if row.open != row.assigned:
        raise Conflict("No employee can be assigned these tasks: add one first")
    wake_relay(session)
