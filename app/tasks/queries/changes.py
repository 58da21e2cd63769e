"""What tells that tasks have changed: cheap values that pages which stay open ask for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from app.kernel.db import sql

CHANGES_COUNTED = 1000

# The newest entries of the log of tasks. Their sum changes also when one that was written before
# the newest is committed after it.
NEWEST_LOGS = sql("""
SELECT coalesce(max(id), 0) AS newest, coalesce(sum(id), 0)::bigint AS sum
FROM (SELECT id FROM logs ORDER BY id DESC LIMIT 200) AS n
""")
# How much happened after an entry of the log, counted up to a bound.
LOGS_AFTER = sql("""
SELECT count(*) FROM (SELECT FROM logs WHERE id > :after LIMIT :at_most) AS bounded
""")
# What tells that a person's tasks or money have changed: the newest assignment and the count of
# tasks they have (completing one changes neither), and the version of their account.
VERSION_OF = sql("""
SELECT concat_ws('.', count(*), extract(epoch FROM max(t.assigned_at))) AS tasks,
       coalesce((SELECT a.version FROM accounts a WHERE a.user_id = :user_id), 0) AS money
FROM tasks t WHERE t.assigned_to = :user_id
""")


@dataclass(frozen=True, slots=True)
class BoardVersion:
    """The board as of an entry of the log: `newest` is its id, `value` changes with every entry."""

    newest: int
    value: str

    @classmethod
    def of(cls, newest: int, total: int) -> BoardVersion:
        """As NEWEST_LOGS has it: the newest entry, and the sum of the newest ones."""
        return cls(newest=newest, value=f"{newest}.{total}")


def board_version(session: Session) -> BoardVersion:
    """How far the board's log has come."""
    return BoardVersion.of(*session.execute(NEWEST_LOGS).one())


def board_changes(session: Session, after: int) -> int:
    """How many entries the log has after the entry `after`, counted up to CHANGES_COUNTED."""
    names = {"after": after, "at_most": CHANGES_COUNTED}
    return int(session.execute(LOGS_AFTER, names).scalar_one())


def version_of(session: Session, user_id: int) -> Any:
    """`tasks` and `money`: two values that change when a person's tasks or balance do."""
    return session.execute(VERSION_OF, {"user_id": user_id}).one()
