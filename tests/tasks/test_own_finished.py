"""One's finished tasks: the one finished last comes first, page by page."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random

from app.kernel.db import db
from app.tasks import commands, queries
from tests.company import Company

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)


def test_the_last_finished_is_first_and_no_page_repeats(
    company: Company, make_user: Callable
) -> None:
    company.at(NOON)
    user, other = make_user("developer"), make_user("manager")
    made = [
        company.call(commands.create_task, other.actor, name=f"task {number}").task_id
        for number in range(9)
    ]
    finished = Random(1).sample(made, 7)
    for number, task_id in enumerate(finished):
        company.at(NOON + timedelta(minutes=number // 2))  # some at the same moment
        company.call(commands.complete_task, user.actor, task_id)

    def page(before: int | None) -> list[int]:
        rows = company.call(
            lambda: queries.tasks_of(db.session(), user.id, finished=True, before=before, limit=2)
        )
        return [row.id for row in rows]

    seen: list[int] = []
    while rows := page(seen[-1] if seen else None):
        seen += rows[:2]
    wanted = company.rows(
        "SELECT id FROM tasks WHERE is_finished ORDER BY finished_at DESC, id DESC"
    )
    assert seen == [row.id for row in wanted]
    assert seen != sorted(seen, reverse=True), "not in the order in which they were made"
