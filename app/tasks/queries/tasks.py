"""The tasks themselves: lists, a task's story, what a reassignment would cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from app.kernel.actor import Actor
from app.kernel.db import sql
from app.kernel.errors import NotFound
from app.kernel.like import like_literal

BIGGEST_ID = 2**63 - 1
PAGE = 50
PAGE_MAX = 200

COLUMNS = """
t.id, t.ticket_key, t.name, t.description, t.is_finished, t.assigned_to,
u.login AS assignee_login, t.created_at, t.assigned_at, t.finished_at, t.assignments,
p.assign_price, p.complete_price
"""
# What belongs to tasks `t`: whose they are, and their prices.
JOINED = """
JOIN users u ON u.id = t.assigned_to
LEFT JOIN task_prices p ON p.task_id = t.id
"""
FROM = f"FROM tasks t {JOINED}"

# One's own open tasks, newest first, and those that one finished, the last one first.
OPEN_OF = sql(f"""
SELECT {COLUMNS} {FROM}
WHERE t.assigned_to = :user_id AND NOT t.is_finished
  AND t.id < coalesce(CAST(:before AS bigint), {BIGGEST_ID})
ORDER BY t.id DESC LIMIT :limit
""")
FINISHED_OF = sql(f"""
SELECT {COLUMNS} {FROM}
WHERE t.assigned_to = :user_id AND t.is_finished AND (t.finished_at, t.id)
  < (coalesce((SELECT b.finished_at FROM tasks b WHERE b.id = :before), 'infinity'),
     coalesce(CAST(:before AS bigint), {BIGGEST_ID}))
ORDER BY t.finished_at DESC, t.id DESC LIMIT :limit
""")
# How many tasks of a person's are in a state: each by the index that has these alone.
_OPEN_OF = "SELECT count(*) FROM tasks t WHERE t.assigned_to = :user_id AND NOT t.is_finished"
_FINISHED_OF = "SELECT count(*) FROM tasks t WHERE t.assigned_to = :user_id AND t.is_finished"
COUNTS_OF = sql(f"SELECT ({_OPEN_OF}) AS open, ({_FINISHED_OF}) AS finished")
ONE_TASK = sql(f"SELECT {COLUMNS} {FROM} WHERE t.id = :task_id")
OPEN_COUNT = sql("SELECT count(*) FROM tasks WHERE NOT is_finished")
# What a reassignment of all open tasks would charge: the fees drawn so far, and how many tasks
# Accounting has not priced yet.
REASSIGNMENT_COST = sql("""
SELECT count(*) AS open, coalesce(sum(p.assign_price), 0)::bigint AS fees_cents,
       count(*) FILTER (WHERE p.task_id IS NULL) AS unpriced
FROM tasks t LEFT JOIN task_prices p ON p.task_id = t.id WHERE NOT t.is_finished
""")
ASSIGNABLE_COUNT = sql("SELECT count(*) FROM users WHERE is_assignable")
# The log of a task, each entry with the transfer that its event made, once it is posted.
STORY = sql("""
SELECT l.id, l.timestamp, l.type, l.description, l.user_id, u.login AS user_login,
       l.actor_id, a.login AS actor_login, l.event_id,
       tr.id AS transfer_id, tr.kind, tr.delta_balance, tr.business_day, d.state AS dead_letter
FROM logs l
JOIN users u ON u.id = l.user_id
JOIN users a ON a.id = l.actor_id
LEFT JOIN account_transfers tr ON tr.event_id = l.event_id
LEFT JOIN dead_letters d ON d.event_id = l.event_id AND d.consumer = 'accounting'
WHERE l.task_id = :task_id ORDER BY l.id LIMIT 1000
""")
# Whether somebody has, or had, the task.
EVER_HAD = sql("SELECT EXISTS (SELECT FROM logs WHERE task_id = :task_id AND user_id = :user_id)")
# Whose login is, or else begins with, what was written.
PEOPLE_CALLED = sql("""
SELECT id, lower(login) = lower(:login) AS is_exact FROM users
WHERE lower(login) = lower(:login) OR lower(login) LIKE lower(:beginning)
ORDER BY is_exact DESC, login LIMIT 50
""")


@dataclass(frozen=True, slots=True)
class TaskRow:
    """A task as pages and the API show it; prices in minor units, None until drawn."""

    id: int
    ticket_key: str | None
    name: str
    description: str
    is_finished: bool
    assigned_to: int
    assignee_login: str
    created_at: datetime
    assigned_at: datetime
    finished_at: datetime | None
    assignments: int
    assign_price: int | None
    complete_price: int | None


def people_called(session: Session, login: str) -> list[int]:
    """The ids of those whose login is `login`; if nobody's is, of those whose begins with it."""
    names = {"login": login, "beginning": f"{like_literal(login)}%"}
    found = session.execute(PEOPLE_CALLED, names).all()
    return [row.id for row in found if row.is_exact] or [row.id for row in found]


def tasks_of(
    session: Session, user_id: int, *, finished: bool, before: int | None = None, limit: int = PAGE
) -> list[TaskRow]:
    """One's own tasks in a state, `limit` + 1 of them to tell whether more follow.

    Open ones by when they were made, finished ones by when they were finished, the last one first;
    `before` is the id of the last one of the page above.
    """
    names = {"user_id": user_id, "before": before, "limit": limit + 1}
    return [TaskRow(*row) for row in session.execute(FINISHED_OF if finished else OPEN_OF, names)]


def counts_of(session: Session, user_id: int) -> tuple[int, int]:
    """How many open and finished tasks somebody has."""
    row = session.execute(COUNTS_OF, {"user_id": user_id}).one()
    return row.open, row.finished


def task_for(session: Session, actor: Actor, task_id: int) -> TaskRow:
    """A task that the actor may see: their own, one that they had, or any with the board's role.

    Raises NotFound for any other.
    """
    row = session.execute(ONE_TASK, {"task_id": task_id}).one_or_none()
    if row is None or not _may_see(session, actor, TaskRow(*row)):
        raise NotFound("There is no such task, or it is not yours to see")
    return TaskRow(*row)


def _may_see(session: Session, actor: Actor, task: TaskRow) -> bool:
    if task.assigned_to == actor.user_id or actor.may("see_all_tasks"):
        return True
    if actor.may("see_all_transfers"):
        return True
    names = {"task_id": task.id, "user_id": actor.user_id}
    return bool(session.execute(EVER_HAD, names).scalar_one())


def story_of(session: Session, task_id: int) -> Sequence[Any]:
    """A task's log in order, each entry with its event and the transfer that it made."""
    return session.execute(STORY, {"task_id": task_id}).all()


def reassignment_cost(session: Session) -> Any:
    """What a reassignment would do: `open` tasks, `fees_cents` known so far, `unpriced` tasks."""
    return session.execute(REASSIGNMENT_COST).one()


def assignable_count(session: Session) -> int:
    """How many employees can be assigned tasks."""
    return int(session.execute(ASSIGNABLE_COUNT).scalar_one())


def open_count(session: Session) -> int:
    """How many tasks are open."""
    return int(session.execute(OPEN_COUNT).scalar_one())


# Today's money and the counts of one's tasks; pending while one's own events wait to be posted.
EARNINGS_OF = sql(f"""
SELECT coalesce(d.rewards - d.fees, 0) AS today_cents, coalesce(a.balance, 0) AS balance_cents,
       ({_OPEN_OF}) AS open_count, ({_FINISHED_OF}) AS finished_count,
       ({_FINISHED_OF} AND t.finished_at >= today.day::timestamp AT TIME ZONE :timezone)
         AS finished_today_count,
       EXISTS (
         SELECT FROM outbox_cursors c CROSS JOIN LATERAL (
           SELECT o.user_id FROM outbox o WHERE o.xid >= c.xid AND (o.xid, o.id) > (c.xid, c.id)
           ORDER BY o.xid, o.id LIMIT 1000) AS waiting
         WHERE c.consumer = 'accounting' AND waiting.user_id = :user_id) AS is_pending
FROM (SELECT (business_now() AT TIME ZONE :timezone)::date AS day) AS today
LEFT JOIN accounts a ON a.user_id = :user_id
LEFT JOIN account_days d ON d.account_id = a.id AND d.business_day = today.day
""")


def earnings_of(session: Session, user_id: int, timezone: str) -> Any:
    """What today brought somebody (rewards less fees), their balance, and counts of their tasks.

    `today_cents`, `balance_cents`, `open_count`, `finished_count`, `finished_today_count`, and
    `is_pending`: whether events of theirs wait to be posted.
    """
    names = {"user_id": user_id, "timezone": timezone}
    return session.execute(EARNINGS_OF, names).one()


# The company's income from a task: the fees charged for it less the reward credited.
INCOME_OF_TASK = sql(
    "SELECT coalesce(-sum(delta_balance), 0)::bigint FROM account_transfers"
    " WHERE task_id = :task_id"
)


def income_of(session: Session, task_id: int) -> int:
    """What the company earned by a task so far, in minor units."""
    return int(session.execute(INCOME_OF_TASK, {"task_id": task_id}).scalar_one())
