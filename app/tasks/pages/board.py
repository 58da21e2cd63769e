"""The board of all tasks, and reassigning those that are open."""

from __future__ import annotations

from typing import Any

from flask import Response, flash, render_template, request, url_for
from flask_babel import ngettext

from app.kernel import settings
from app.kernel.db import db
from app.kernel.errors import BadInput, Conflict
from app.kernel.messages import said
from app.tasks import commands, queries
from app.tasks.pages import blueprint
from app.tasks.pages.views import next_url_after, view
from app.tasks.queries import PAGE, TaskFilter
from app.web import htmx
from app.web.access import current_actor, requires
from app.web.arguments import whole_number
from app.web.idempotency import idempotent
from app.web.language import translated

STATES = {"open": False, "finished": True}


@blueprint.get("/tasks")
@requires("see_all_tasks")
def all() -> Response:  # noqa: A001 - the page's name
    """The board: every task, filtered by state, assignee and words, in the address."""
    before, wanted = whole_number("cursor"), _filter()
    rows = queries.all_tasks(db.session(), wanted, before=before)
    tasks = [view(row, can_complete=False) for row in rows[:PAGE]]
    next_url = next_url_after("tasks.all", rows, **_filter_arguments(wanted))
    if before is not None and htmx.wants_fragment():
        return htmx.page("tasks/_page.html", tasks=tasks, next_url=next_url)
    names = {
        "tasks": tasks,
        "next_url": next_url,
        "total": queries.count_tasks(db.session(), wanted),
        "filters": _filter_arguments(wanted),
    }
    if htmx.wants_fragment():
        return htmx.page("tasks/_list.html", **names)
    people = queries.assignees(db.session())
    can_reassign = current_actor().may("reassign_tasks")
    return htmx.page("tasks/all.html", people=people, can_reassign=can_reassign, **names)


@blueprint.get("/tasks/reassignment")
@requires("reassign_tasks")
def reassign() -> str:
    """What reassigning all open tasks would do, before it is done."""
    cost = queries.reassignment_cost(db.session())
    fee = settings.current().assign_fee
    return render_template(
        "tasks/reassign.html",
        open_count=cost.open,
        assignable_count=queries.assignable_count(db.session()),
        cost_min_cents=cost.fees_cents + cost.unpriced * fee.min_cents,
        cost_max_cents=cost.fees_cents + cost.unpriced * fee.max_cents,
    )


@blueprint.post("/tasks/reassignment")
@requires("reassign_tasks")
@idempotent
def reassign_all() -> Response:
    """Draw a new assignee for every open task."""
    try:
        count = commands.reassign_tasks(current_actor())
    except Conflict as error:
        flash(translated(error.message), "error")
        return htmx.go_to(url_for("tasks.reassign"))
    flash(ngettext("One task was reassigned", "%(num)s tasks were reassigned", count))
    return htmx.go_to(url_for("tasks.all", state="open"))


def _filter() -> TaskFilter:
    state = request.args.get("state") or None
    if state is not None and state not in STATES:
        raise BadInput(fields={"state": "Open or finished"})
    text = request.args.get("q", "").strip()
    if len(text) > queries.SEARCH_MAX_LENGTH:
        raise BadInput(
            fields={"q": said("At most %(count)s characters", count=queries.SEARCH_MAX_LENGTH)}
        )
    is_finished = None if state is None else STATES[state]
    return TaskFilter(is_finished=is_finished, assigned_to=whole_number("assigned_to"), text=text)


def _filter_arguments(wanted: TaskFilter) -> dict[str, Any]:
    state = {None: None, False: "open", True: "finished"}[wanted.is_finished]
    return {"q": wanted.text or None, "state": state, "assigned_to": wanted.assigned_to}
