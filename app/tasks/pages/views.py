"""A task as the templates show it, and the link to the next page of a list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import url_for

from app.kernel.errors import NotFound
from app.tasks.queries import BIGGEST_ID, PAGE, SHOWN_PEOPLE, Line, Posting, TaskRow

# After so long a page says that posting takes longer than it should: 100,000 fees take less.
SLOW_AFTER_S = 60


@dataclass(frozen=True, slots=True)
class TaskView:
    """A task as the templates show it; money in minor units, None until it is priced."""

    id: int
    ticket_key: str | None
    name: str
    description: str
    is_finished: bool
    assignee_id: int
    assignee_login: str
    fee_cents: int | None
    reward_cents: int | None
    created_at: datetime
    assigned_at: datetime
    finished_at: datetime | None
    assignment_count: int
    can_complete: bool
    income_cents: int | None = None


def view(row: TaskRow, *, can_complete: bool, income_cents: int | None = None) -> TaskView:
    """The row as pages show it."""
    return TaskView(
        id=row.id,
        ticket_key=row.ticket_key,
        name=row.name,
        description=row.description,
        is_finished=row.is_finished,
        assignee_id=row.assigned_to,
        assignee_login=row.assignee_login,
        fee_cents=row.assign_price,
        reward_cents=row.complete_price,
        created_at=row.created_at,
        assigned_at=row.assigned_at,
        finished_at=row.finished_at,
        assignment_count=row.assignments,
        can_complete=can_complete,
        income_cents=income_cents,
    )


def next_url_after(endpoint: str, rows: Sequence[TaskRow | Line], **arguments: Any) -> str | None:
    """The address of the page that follows `rows`; they are PAGE + 1 when there is one."""
    if len(rows) <= PAGE:
        return None
    return url_for(endpoint, cursor=rows[PAGE - 1].id, **arguments)


def checked_id(task_id: int) -> int:
    """An id that the database can hold. Raises NotFound for any other."""
    if task_id > BIGGEST_ID:
        raise NotFound
    return task_id


def posting_view(posting: Posting, *, url: str) -> dict[str, Any]:
    """How far the ledger is with what a transaction told; `url` is where to look again."""
    return {
        "url": url,
        "told": posting.told,
        "posted": posting.posted,
        "parked": posting.parked,
        "left": posting.left,
        "fees_cents": posting.fees_cents,
        "shares": posting.shares,
        "is_cut": len(posting.shares) == SHOWN_PEOPLE,
        "is_over": posting.left == 0,
        "is_slow": posting.left > 0 and posting.age_s > SLOW_AFTER_S,
    }
