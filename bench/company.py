"""A made-up company: people, tasks and events, written as plain rows in bulk."""

from __future__ import annotations

from bench.stage import Connection

# A manager who acts, and employees who are assigned.
EMPLOY = """
INSERT INTO users (role, login, email, hash)
SELECT CASE n WHEN 0 THEN 'manager' ELSE 'developer' END::user_role,
       'person-' || n, 'person-' || n || '@example.org', '$argon2id$nobody knows the password'
FROM generate_series(0, %(employees)s) AS n ORDER BY n
"""
# Open tasks, given to the employees in turn.
GIVE_TASKS = """
INSERT INTO tasks (ticket_key, name, assigned_to, created_by)
SELECT 'BENCH-' || n, 'Mend the fence at gate number ' || n,
       (SELECT id FROM users WHERE login = 'person-' || 1 + n %% %(employees)s),
       (SELECT id FROM users WHERE login = 'person-0')
FROM generate_series(1, %(tasks)s) AS n ORDER BY n
"""
# Of each task: created, then assigned again to the next employee, half of them then completed. So
# two in five events are the first of a task, which has its prices drawn.
TELL = """
INSERT INTO outbox (type, schema_version, task_id, user_id, actor_id)
SELECT e.type, 1, t.id, u.id, t.created_by
FROM tasks t
CROSS JOIN LATERAL (VALUES (1, 'TaskCreated', t.id), (2, 'TaskAssigned', t.id + 1),
                           (3, 'TaskCompleted', t.id + 1)) AS e (step, type, turn)
JOIN users u ON u.login = 'person-' || 1 + e.turn %% %(employees)s
WHERE t.id > %(after)s AND t.id <= %(until)s AND (e.step < 3 OR t.id %% 2 = 0)
ORDER BY t.id, e.step
"""
EVENTS_PER_TASK = 2.5
TASKS_PER_TRANSACTION = 20


def employ(connection: Connection, employees: int) -> None:
    """Make a manager, `person-0`, and `person-1` to `person-<employees>`."""
    connection.execute(EMPLOY, {"employees": employees})
    connection.execute("ANALYZE users")


def give_tasks(connection: Connection, *, tasks: int, employees: int) -> None:
    """Give the employees open tasks, of which no event tells yet."""
    connection.execute(GIVE_TASKS, {"tasks": tasks, "employees": employees})
    connection.execute("ANALYZE tasks")


def tell(
    connection: Connection, *, tasks: int, employees: int, at_once: int = TASKS_PER_TRANSACTION
) -> int:
    """Write events about all tasks, those of `at_once` tasks a transaction; returns how many."""
    told = 0
    for after in range(0, tasks, at_once):
        names = {"after": after, "until": after + at_once, "employees": employees}
        told += connection.execute(TELL, names).rowcount
    connection.execute("ANALYZE outbox")
    return told
