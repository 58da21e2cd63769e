"""The board of all tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask import Response, url_for
from flask_babel import ngettext

from app.kernel.db import db
from app.kernel.errors import BadInput
from app.tasks import queries, search
from app.tasks.pages import blueprint
from app.tasks.pages.finding import Asked, asked_of_board, line_filtered_before
from app.tasks.pages.views import next_url_after
from app.tasks.queries import PAGE, Line
from app.web import drafts, htmx, live
from app.web.access import current_actor, requires
from app.web.arguments import whole_number


@blueprint.get("/tasks")
@requires("see_all_tasks")
def all() -> Response:  # noqa: A001 - the page's name
    """The board: every task, filtered by state, assignee and a search line, in the address."""
    before, asked = whole_number("cursor"), asked_of_board(current_actor())
    wanted = None if asked.problem else asked.wanted
    if before is not None and htmx.wants_fragment():
        lines = queries.board_lines(db.session(), wanted, before=before) if wanted else []
        return htmx.page("tasks/_page.html", **_page(lines, asked))
    is_whole = not htmx.wants_fragment()
    with_choices = is_whole or line_filtered_before() or search.filters(asked.line)
    board = queries.board(db.session(), wanted, before=before, with_assignees=with_choices)
    names: dict[str, Any] = {
        **_page(board.lines, asked),
        "total": board.total,
        "asked": asked,
        "choices": _choices(board.assignees, asked),
        "here_url": url_for("tasks.all", **asked.address()),
        "version": live.version(board=board.version.value),
        "version_url": url_for("tasks.board_version", since=board.version.newest),
    }
    status = BadInput.status if asked.problem else 200
    if not is_whole:
        return _found(names, status)
    actor = current_actor()
    names |= {
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


def _page(lines: Sequence[Line], asked: Asked) -> dict[str, Any]:
    return {
        "lines": lines[:PAGE],
        "next_url": next_url_after("tasks.all", lines, **asked.address()),
    }


def _choices(people: str | None, asked: Asked) -> dict[str, Any] | None:
    """The choices above the list, where it is known who can be chosen."""
    if people is None:
        return None
    return {
        "people": people,
        "state": asked.state,
        "assigned_to": asked.assigned_to,
        "state_by_line": asked.search.is_finished is not None,
        "assignee_by_line": asked.search.assignee is not None,
    }


def _found(names: dict[str, Any], status: int) -> Response:
    """The list; with the choices above it when a word of the line makes, or made, one of them."""
    response = htmx.page("tasks/_found.html", None, status, **names)
    is_new = names["here_url"] != drafts.came_from()
    return htmx.steer(response, push_url=names["here_url"] if is_new else None)
