"""The board: every task, newest first, filtered by state, assignees, words and keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy.orm import Session

from app.kernel import direct
from app.kernel.counts import Count
from app.kernel.db import sql
from app.kernel.direct import Read
from app.kernel.like import like_literal
from app.kernel.people import people_sql
from app.tasks.queries.changes import NEWEST_LOGS, BoardVersion
from app.tasks.queries.tasks import COLUMNS, JOINED, PAGE, TaskRow

SEARCH_MAX_LENGTH = 100
# Counting goes no further: a million tasks are not counted for a figure at the head of a list, and
# what a search finds is looked at one by one.
COUNTED_MAX, FOUND_MAX = 1_000, 100

# tasks_search_idx indexes the trigrams of keys and those of names.
_TRIGRAM = 3
_ANYWHERE = "(t.ticket_key ILIKE :{word} OR t.name ILIKE :{word})"
# A word of fewer letters has none: the whole index would be read. It is looked for among the newest
# tasks alone, and past the index.
_NEARBY = """
t.id > (SELECT max(id) - 10000 FROM tasks) AND concat_ws(' ', t.ticket_key, t.name) ILIKE :{word}
"""
_OF_KEY = "(t.ticket_key = :{key} OR t.name ILIKE :{word})"
_LINE = """
t.id, t.ticket_key, t.name, t.is_finished, t.assigned_to, u.login, t.created_at,
p.assign_price, p.complete_price
"""
# The employees for the filter of the board; only of those who are none it is asked what they have.
_OFFERED = """
(SELECT u.id, u.login FROM users u WHERE u.is_assignable
    OR EXISTS (SELECT FROM tasks t WHERE t.assigned_to = u.id AND NOT t.is_finished)) AS assignees
"""
ASSIGNEES = sql(f"SELECT {people_sql(_OFFERED)}")


class Line(NamedTuple):
    """A task as the board shows it; money in minor units, None until it is priced."""

    id: int
    ticket_key: str | None
    name: str
    is_finished: bool
    assignee_id: int
    assignee_login: str
    created_at: datetime
    fee_cents: int | None
    reward_cents: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFilter:
    """What the board shows: any of a state, assignees, and words of the name or ticket key.

    A key finds the ticket that has it, and names that speak of it.
    """

    is_finished: bool | None = None
    assigned_to: Sequence[int] | None = None
    words: Sequence[str] = ()
    keys: Sequence[str] = ()

    @property
    def is_search(self) -> bool:
        """Whether words decide what it holds."""
        return bool(self.words or self.keys)

    def where(self) -> tuple[str, dict[str, Any]]:
        """SQL conditions from a fixed list, and their parameters."""
        conditions, names = ["true"], dict[str, Any]()
        if self.is_finished is not None:
            conditions.append("t.is_finished" if self.is_finished else "NOT t.is_finished")
        if self.assigned_to is not None:
            # One is compared as one, since then the index gives the tasks in their order.
            one, *others = self.assigned_to
            conditions.append(
                "t.assigned_to = " + ("ANY(:assigned_to)" if others else ":assigned_to")
            )
            names["assigned_to"] = [one, *others] if others else one
        for number, word in enumerate(self.words):
            condition = _ANYWHERE if len(word) >= _TRIGRAM else _NEARBY
            conditions.append(condition.format(word=f"word_{number}"))
            names[f"word_{number}"] = f"%{like_literal(word)}%"
        for number, key in enumerate(self.keys):
            conditions.append(_OF_KEY.format(key=f"key_{number}", word=f"key_word_{number}"))
            names |= {f"key_{number}": key, f"key_word_{number}": f"%{like_literal(key)}%"}
        return " AND ".join(conditions), names


@dataclass(frozen=True, slots=True)
class Board:
    """The board as of `version`: PAGE + 1 lines when more follow, and how many there are in all.

    `assignees`: those whose tasks can be asked for, a text with a line for each, the id and the
    login; None where nobody asked for them.
    """

    version: BoardVersion
    lines: list[Line]
    total: Count
    assignees: str | None


def board(
    session: Session, wanted: TaskFilter | None, *, before: int | None, with_assignees: bool
) -> Board:
    """A page of the board, and what stands around it; no tasks where nothing is `wanted`."""
    # The version before the rows: what comes between is told as news.
    reads = {"newest": Read(NEWEST_LOGS, {})}
    if wanted is not None:
        # What a search finds first is read as far as it is counted: it is looked for once.
        is_found_at_once = wanted.is_search and before is None
        reads["lines"] = _page(_LINE, wanted, before, FOUND_MAX if is_found_at_once else PAGE)
        if not is_found_at_once:
            reads["count"] = _counting(wanted)
    if with_assignees:
        reads["assignees"] = Read(ASSIGNEES, {})
    found = dict(zip(reads, direct.rows_of_each(session, *reads.values()), strict=True))
    lines = found.get("lines", [])
    count = found["count"][0][0] if "count" in found else len(lines)
    return Board(
        version=BoardVersion.of(*found["newest"][0]),
        lines=[Line._make(row) for row in lines[: PAGE + 1]],
        total=Count.up_to(_counted_max(wanted or TaskFilter()), count),
        assignees=found["assignees"][0][0] if with_assignees else None,
    )


def board_lines(session: Session, wanted: TaskFilter, *, before: int) -> list[Line]:
    """The page of the board after the task `before`."""
    read = _page(_LINE, wanted, before, PAGE)
    return [Line._make(row) for row in direct.rows(session, read)]


def all_tasks(
    session: Session, wanted: TaskFilter, *, before: int | None = None, limit: int = PAGE
) -> list[TaskRow]:
    """The tasks themselves, newest first, `limit` + 1 of them to tell whether more follow."""
    read = _page(COLUMNS, wanted, before, limit)
    return [TaskRow(*row) for row in direct.rows(session, read)]


def _page(columns: str, wanted: TaskFilter, before: int | None, limit: int) -> Read:
    where, names = wanted.where()
    if before is not None:
        where, names = f"{where} AND t.id < :before", {**names, "before": before}
    # Only what is shown is joined: a search may find many more, in no order.
    tasks = f"SELECT * FROM tasks t WHERE {where} ORDER BY t.id DESC LIMIT :limit"
    statement = sql(f"SELECT {columns} FROM ({tasks}) AS t {JOINED} ORDER BY t.id DESC")
    return Read(statement, {**names, "limit": limit + 1}, wanted.is_search)


def _counting(wanted: TaskFilter) -> Read:
    """How to count what `wanted` holds, up to one more than its bound."""
    where, names = wanted.where()
    at_most = _counted_max(wanted)
    # A search goes the way of its list, from the newest on; any other count takes what is nearest.
    order = "ORDER BY t.id DESC" if at_most == FOUND_MAX else ""
    statement = sql(
        "SELECT count(*) FROM"
        f" (SELECT FROM tasks t WHERE {where} {order} LIMIT :at_most) AS bounded"
    )
    return Read(statement, {**names, "at_most": at_most + 1}, wanted.is_search)


def _counted_max(wanted: TaskFilter) -> int:
    return FOUND_MAX if wanted.is_search else COUNTED_MAX
