"""The board of all tasks."""

from __future__ import annotations

from typing import Any

from flask import Response, url_for
from flask_babel import ngettext

from app.kernel.db import db
from app.kernel.errors import BadInput
from app.tasks import queries, search
from app.tasks.pages import blueprint
from app.tasks.pages.finding import asked_of_board, line_filtered_before
from app.tasks.pages.views import next_url_after, view
from app.tasks.queries import PAGE
from app.web import drafts, htmx, live
from app.web.access import current_actor, requires
from app.web.arguments import whole_number


@blueprint.get("/tasks")
@requires("see_all_tasks")
def all() -> Response:  # noqa: A001 - the page's name
    """The board: every task, filtered by state, assignee and a search line, in the address."""
    before, asked = whole_number("cursor"), asked_of_board(current_actor())
    status = BadInput.status if asked.problem else 200
    version = queries.board_version(db.session())  # before the rows: what comes between is told
    rows = [] if asked.problem else queries.all_tasks(db.session(), asked.wanted, before=before)
    tasks = [view(row, can_complete=False) for row in rows[:PAGE]]
    next_url = next_url_after("tasks.all", rows, **asked.address())
    if before is not None and htmx.wants_fragment():
        return htmx.page("tasks/_page.html", tasks=tasks, next_url=next_url)
    names: dict[str, Any] = {
        "tasks": tasks,
        "next_url": next_url,
        "total": 0 if asked.problem else queries.count_tasks(db.session(), asked.wanted),
        "asked": asked,
        "here_url": url_for("tasks.all", **asked.address()),
        "version": live.version(board=version.value),
        "version_url": url_for("tasks.board_version", since=version.newest),
    }
    if htmx.wants_fragment():
        return _found(names, status)
    people = queries.assignees(db.session())
    actor = current_actor()
    names |= {
        "people": people,
        "can_import": actor.may("import_tasks"),
        "can_reassign": actor.may("reassign_tasks"),
    }
    return htmx.page("tasks/all.html", None, status, **names)


@blueprint.get("/tasks/version")
@requires("see_all_tasks")
def board_version() -> Response:
    """How far the board has come, and in words how much happened after the entry `since`."""
    found = queries.board_version(db.session())
    count = queries.board_changes(db.session(), whole_number("since") or found.newest)
    words = ngettext("One change on the board", "%(num)s changes on the board", max(count, 1))
    return live.answer(live.version(board=found.value), board=words)


def _found(names: dict[str, Any], status: int) -> Response:
    """The list; with the choices above it when a word of the line makes, or made, one of them."""
    reflects = line_filtered_before() or search.filters(names["asked"].line)
    people = queries.assignees(db.session()) if reflects else None
    response = htmx.page("tasks/_found.html", None, status, people=people, **names)
    is_new = names["here_url"] != drafts.came_from()
    return htmx.steer(response, push_url=names["here_url"] if is_new else None)
