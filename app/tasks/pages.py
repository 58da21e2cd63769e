"""The task tracker's pages: my tasks, the board, a task's story, reassigning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import Blueprint, Response, flash, render_template, request, url_for
from flask_babel import gettext, ngettext

from app.kernel import settings
from app.kernel.actor import Actor
from app.kernel.db import db
from app.kernel.errors import BadInput, Conflict, NotFound
from app.kernel.messages import said
from app.kernel.policy import ASSIGNABLE
from app.tasks import commands, queries
from app.tasks.queries import PAGE, TaskFilter, TaskRow
from app.web import htmx
from app.web.access import current_actor, requires
from app.web.arguments import whole_number
from app.web.forms import Form
from app.web.idempotency import idempotent
from app.web.language import translated
from app.web.pages import local_url

blueprint = Blueprint("tasks", __name__)
STATES = {"open": False, "finished": True}
BIGGEST_ID = 2**63 - 1


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
    """One's own tasks: the open ones first, finished ones below, today's money above."""
    is_finished = request.args.get("state") == "finished"
    before = whole_number("cursor")
    if before is not None and htmx.wants_fragment():
        rows, next_url = _own_tasks(finished=is_finished, before=before)
        more_id = "finished-more" if is_finished else None
        names = {"tasks": rows, "next_url": next_url, "more_id": more_id}
        return htmx.page("tasks/_tasks.html", **names)
    return htmx.page("tasks/mine.html", **_mine(before=before, is_finished=is_finished))


@blueprint.get("/tasks/mine/earnings")
@requires("see_own_tasks")
def earnings() -> str:
    """The strip of today's money, asked for again while something waits to be posted."""
    return render_template("tasks/_earnings.html", earnings=_earnings())


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
    return htmx.go_to(url_for("tasks.mine"))


@blueprint.get("/tasks")
@requires("see_all_tasks")
def all() -> Response:  # noqa: A001 - the page's name
    """The board: every task, filtered by state, assignee and words, in the address."""
    before, wanted = whole_number("cursor"), _filter()
    rows = queries.all_tasks(db.session(), wanted, before=before)
    tasks = [_view(row, can_complete=False) for row in rows[:PAGE]]
    next_url = _next_url("tasks.all", rows, **_filter_arguments(wanted))
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


@blueprint.get("/tasks/<int:task_id>")
@requires("see_own_tasks")
def story(task_id: int) -> str:
    """A task's story: who was assigned when, each fee and reward, each event and its posting."""
    actor = current_actor()
    row = queries.task_for(db.session(), actor, _id(task_id))
    sees_money = actor.may("see_all_transfers") or actor.may("see_analytics")
    income = queries.income_of(db.session(), row.id) if sees_money else None
    task = _view(row, can_complete=_may_complete(row), income_cents=income)
    entries = [_entry(entry, actor) for entry in queries.story_of(db.session(), row.id)]
    return render_template("tasks/story.html", task=task, entries=entries)


@blueprint.post("/tasks/<int:task_id>/completion")
@requires("complete_own_task")
@idempotent
def complete(task_id: int) -> Response:
    """Complete one's own task: its row changes in place, and today's money with it."""
    try:
        commands.complete_task(current_actor(), _id(task_id))
    except Conflict as error:
        return _completed(task_id, status=error.status, message=translated(error.message))
    return _completed(task_id)


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


def _created(task: commands.CreatedTask) -> Created:
    actor = current_actor()
    sees_all = actor.may("see_all_tasks") or actor.may("see_all_transfers")
    is_mine = task.assigned_to == actor.user_id
    url = url_for("tasks.story", task_id=task.task_id) if sees_all or is_mine else None
    return Created(task.task_id, task.name, task.assigned_to, task.assignee_login, url)


def _mine(*, before: int | None, is_finished: bool) -> dict[str, Any]:
    actor = current_actor()
    open_rows, open_next = _own_tasks(finished=False, before=None if is_finished else before)
    finished, finished_next = _own_tasks(finished=True, before=before if is_finished else None)
    return {
        "earnings": _earnings(),
        "tasks": open_rows,
        "next_url": open_next,
        "finished": finished,
        "finished_next_url": finished_next,
        "can_create": actor.may("create_task"),
        "can_be_assigned": actor.role in ASSIGNABLE,
        "form": Form(),
        "created": None,
    }


def _own_tasks(*, finished: bool, before: int | None) -> tuple[list[TaskView], str | None]:
    actor = current_actor()
    rows = queries.tasks_of(db.session(), actor.user_id, finished=finished, before=before)
    state = "finished" if finished else None
    next_url = _next_url("tasks.mine", rows, state=state)
    return [_view(row, can_complete=not row.is_finished) for row in rows[:PAGE]], next_url


def _next_url(endpoint: str, rows: Sequence[TaskRow], **arguments: Any) -> str | None:
    if len(rows) <= PAGE:
        return None
    return url_for(endpoint, cursor=rows[PAGE - 1].id, **arguments)


def _earnings() -> Any:
    timezone = settings.current().business_timezone
    return queries.earnings_of(db.session(), current_actor().user_id, timezone)


def _completed(task_id: int, *, status: int = 200, message: str | None = None) -> Response:
    """The row as it is now, for htmx; else back to where the person was."""
    if htmx.wants_fragment():
        task = _view(queries.task_for(db.session(), current_actor(), task_id), can_complete=False)
        return htmx.page("tasks/_completed.html", None, status, task=task, earnings=_earnings())
    if message:
        flash(message, "error")
    url = request.form.get("next")
    return htmx.go_to(local_url(url) if url else url_for("tasks.mine"))


def _may_complete(row: TaskRow) -> bool:
    return row.assigned_to == current_actor().user_id and not row.is_finished


def _view(row: TaskRow, *, can_complete: bool, income_cents: int | None = None) -> TaskView:
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


def _entry(row: Any, actor: Actor) -> dict[str, Any]:
    """A line of the story, with the transfer that its event made and how far the event is."""
    transfers = []
    if row.transfer_id is not None:
        url = _transfer_url(row, actor)
        transfers = [{"id": row.transfer_id, "cents": row.delta_balance, "url": url}]
    state = "posted" if transfers else (row.dead_letter or ("waiting" if row.event_id else None))
    return {
        "id": row.id,
        "at": row.timestamp,
        "kind": row.type,
        "person_id": row.user_id,
        "person_login": row.user_login,
        "actor_login": row.actor_login,
        "transfers": transfers,
        "event_state": state,
    }


def _transfer_url(row: Any, actor: Actor) -> str | None:
    """Where the reader finds the transfer of a line of the story: a day of an account, or none."""
    day = {"from": row.business_day, "to": row.business_day}
    if actor.may("see_all_transfers"):
        anchor = f"transfer-{row.transfer_id}"
        return url_for("accounting.report", user_id=row.user_id, _anchor=anchor, **day)
    if row.user_id == actor.user_id:
        return url_for("accounting.mine", _anchor=f"line-{row.transfer_id}", **day)
    return None


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


def _id(task_id: int) -> int:
    if task_id > BIGGEST_ID:
        raise NotFound
    return task_id
