"""One's own tasks: list, today's money, creating, completing, and what has changed meanwhile."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from flask import Response, flash, render_template, request, url_for
from flask_babel import gettext

from app.kernel import settings
from app.kernel.db import db
from app.kernel.errors import BadInput, Conflict
from app.kernel.policy import ASSIGNABLE
from app.tasks import commands, queries
from app.tasks.pages import blueprint
from app.tasks.pages.finding import Asked, asked_of_own
from app.tasks.pages.views import TaskView, checked_id, next_url_after, view
from app.tasks.queries import PAGE
from app.web import drafts, htmx, live
from app.web.access import current_actor, requires
from app.web.arguments import whole_number
from app.web.forms import Form
from app.web.idempotency import idempotent
from app.web.language import translated
from app.web.pages import local_url


@dataclass(frozen=True, slots=True)
class Created:
    """The task that was made last, who was drawn for it, and its story if the maker may see it."""

    id: int
    name: str
    assignee_id: int
    assignee_login: str
    url: str | None


@blueprint.get("/tasks/mine")
@requires("see_own_tasks")
def mine() -> Response:
    """One's own tasks: the open ones first, finished ones below, today's money above.

    A search line narrows both lists.
    """
    is_finished = request.args.get("state") == "finished"
    before, asked = whole_number("cursor"), asked_of_own(current_actor())
    status = BadInput.status if asked.problem else 200
    if before is not None and htmx.wants_fragment():
        rows, next_url = _own_tasks(asked, finished=is_finished, before=before)
        more_id = "finished-more" if is_finished else None
        more = {"tasks": rows, "next_url": next_url, "more_id": more_id}
        return htmx.page("tasks/_tasks.html", **more)
    names = _lists(asked, before=before, is_finished=is_finished)
    if not htmx.wants_fragment():
        return htmx.page("tasks/mine.html", None, status, **names, **_around())
    counts = queries.counts_of(db.session(), current_actor().user_id)
    response = htmx.page("tasks/_lists.html", None, status, counts=counts, **names)
    is_new = names["here_url"] != drafts.came_from()
    return htmx.steer(response, push_url=names["here_url"] if is_new else None)


@blueprint.get("/tasks/mine/earnings")
@requires("see_own_tasks")
def earnings() -> str:
    """The strip of today's money, asked for again while something waits to be posted."""
    return render_template("tasks/_earnings.html", earnings=_earnings())


@blueprint.get("/tasks/mine/version")
@requires("see_own_tasks")
def version() -> Response:
    """Whether one's tasks or money have changed since the version in If-None-Match: 304 if not.

    `tasks` changes when one is given to or taken from the person.
    """
    found = queries.version_of(db.session(), current_actor().user_id)
    return live.answer(_version(found))


@blueprint.get("/tasks/new")
@requires("create_task")
def new() -> str:
    """The form that makes a task, on a page of its own."""
    return render_template("tasks/new.html", form=Form())


@blueprint.post("/tasks")
@requires("create_task")
@idempotent
def create() -> Response:
    """Create a task; the assignee drawn is shown at once."""
    form = Form.sent("name", "description")
    try:
        task = commands.create_task(current_actor(), **form.values)
    except (BadInput, Conflict) as error:
        return htmx.page("tasks/new.html", "tasks/_new.html", error.status, form=form.refuse(error))
    made = _created(task)
    if htmx.wants_fragment():
        return htmx.page("tasks/_new.html", form=Form(), created=made)
    flash(gettext("%(name)s was drawn for “%(task)s”", name=made.assignee_login, task=made.name))
    sees_all = current_actor().may("see_all_tasks")
    return htmx.go_to(url_for("tasks.all" if sees_all else "tasks.mine"))


@blueprint.post("/tasks/<int:task_id>/completion")
@requires("complete_own_task")
@idempotent
def complete(task_id: int) -> Response:
    """Complete one's own task: its row changes in place, and today's money with it."""
    try:
        commands.complete_task(current_actor(), checked_id(task_id))
    except Conflict as error:
        return _completed(task_id, status=error.status, message=translated(error.message))
    return _completed(task_id)


def _created(task: commands.CreatedTask) -> Created:
    actor = current_actor()
    sees_all = actor.may("see_all_tasks") or actor.may("see_all_transfers")
    is_mine = task.assigned_to == actor.user_id
    url = url_for("tasks.story", task_id=task.task_id) if sees_all or is_mine else None
    return Created(task.task_id, task.name, task.assigned_to, task.assignee_login, url)


def _version(found: Any) -> str:
    return live.version(tasks=found.tasks, money=found.money)


def _around() -> dict[str, Any]:
    """What the page shows besides the lists."""
    actor, earnings = current_actor(), _earnings()
    return {
        "earnings": earnings,
        "counts": (earnings.open_count, earnings.finished_count),
        "can_create": actor.may("create_task"),
        "form": Form(),
        "created": None,
    }


def _lists(asked: Asked, *, before: int | None, is_finished: bool) -> dict[str, Any]:
    actor = current_actor()
    version = _version(queries.version_of(db.session(), actor.user_id))  # before the rows
    open_rows, open_next = _own_tasks(asked, finished=False, before=None if is_finished else before)
    finished, finished_next = _own_tasks(
        asked, finished=True, before=before if is_finished else None
    )
    return {
        "asked": asked,
        "here_url": url_for("tasks.mine", q=asked.line or None),
        "version": version,
        "tasks": open_rows,
        "next_url": open_next,
        "finished": finished,
        "finished_next_url": finished_next,
        "can_be_assigned": actor.role in ASSIGNABLE,
    }


def _own_tasks(
    asked: Asked, *, finished: bool, before: int | None
) -> tuple[list[TaskView], str | None]:
    if asked.problem or asked.search.is_finished is (not finished):
        return [], None
    session, state = db.session(), "finished" if finished else None
    if asked.line:
        wanted = replace(asked.wanted, is_finished=finished)
        rows = queries.all_tasks(session, wanted, before=before)
    else:
        rows = queries.tasks_of(session, current_actor().user_id, finished=finished, before=before)
    next_url = next_url_after("tasks.mine", rows, state=state, q=asked.line or None)
    return [view(row, can_complete=not row.is_finished) for row in rows[:PAGE]], next_url


def _earnings() -> Any:
    timezone = settings.current().business_timezone
    return queries.earnings_of(db.session(), current_actor().user_id, timezone)


def _completed(task_id: int, *, status: int = 200, message: str | None = None) -> Response:
    """The row as it is now, for htmx; else back to where the person was."""
    if htmx.wants_fragment():
        task = view(queries.task_for(db.session(), current_actor(), task_id), can_complete=False)
        return htmx.page("tasks/_completed.html", None, status, task=task, earnings=_earnings())
    if message:
        flash(message, "error")
    url = request.form.get("next")
    return htmx.go_to(local_url(url) if url else url_for("tasks.mine"))
