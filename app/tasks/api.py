"""REST: create, reassign, complete and list tasks."""

from __future__ import annotations

from typing import Any

from flask import url_for
from marshmallow import Schema, fields, validate

from app.kernel import settings
from app.kernel.db import db
from app.tasks import commands, queries
from app.tasks.models import DESCRIPTION_MAX_LENGTH, NAME_MAX_LENGTH
from app.tasks.queries import SEARCH_MAX_LENGTH, TaskFilter, TaskRow
from app.web.access import current_actor, requires
from app.web.fields import Money, Number
from app.web.idempotency import idempotent
from app.web.keyset import Cursor, Page, PageQuery, page_of
from app.web.openapi import Blueprint

blueprint = Blueprint("tasks_api", __name__, description="The task board")
# A name may come with its ticket key in front: `[KEY-12] Fix the gate`.
KEY_MAX_LENGTH = 40
STATES = {"open": False, "finished": True}
LOCATION = {"description": "Where its progress is shown", "schema": {"type": "string"}}


class NewTask(Schema):
    """A task to be created. A name such as `[KEY-12] Fix the gate` carries a ticket key."""

    name = fields.String(
        required=True, validate=validate.Length(1, KEY_MAX_LENGTH + NAME_MAX_LENGTH)
    )
    description = fields.String(
        load_default="", validate=validate.Length(max=DESCRIPTION_MAX_LENGTH)
    )


class TaskState(Schema):
    """Who has a task, and whether it is finished."""

    id = fields.Integer(required=True)
    assigned_to = fields.Integer(required=True)
    is_finished = fields.Boolean(required=True)


class Reassignment(Schema):
    """How many tasks were reassigned."""

    reassigned = fields.Integer(required=True)


class ReassignmentProgress(Reassignment):
    """How far the ledger is with a reassignment: fees posted, left, set aside, and their sum."""

    id = fields.Integer(required=True)
    at = fields.DateTime(required=True)
    posted = fields.Integer(required=True)
    left = fields.Integer(required=True)
    parked = fields.Integer(required=True)
    charged = Money(required=True)
    currency = fields.String(required=True)


class Task(TaskState):
    """A task. Its fee and reward are null until Accounting has drawn them."""

    ticket_key = fields.String(required=True, allow_none=True)
    name = fields.String(required=True)
    description = fields.String(required=True)
    assignee = fields.String(required=True, attribute="assignee_login")
    created_at = fields.DateTime(required=True)
    assigned_at = fields.DateTime(required=True)
    finished_at = fields.DateTime(required=True, allow_none=True)
    assign_fee = Money(required=True, allow_none=True, attribute="assign_price")
    completion_reward = Money(required=True, allow_none=True, attribute="complete_price")


class TaskPage(Page):
    """Tasks, newest first."""

    items = fields.List(fields.Nested(Task), required=True)
    currency = fields.String(required=True)


class OwnTasksQuery(PageQuery):
    """Which of one's own tasks."""

    state = fields.String(load_default="open", validate=validate.OneOf(list(STATES)))
    cursor = Cursor(int)


class AllTasksQuery(PageQuery):
    """Which tasks: of a state, of an assignee, with all words of `q` in name or ticket key."""

    state = fields.String(validate=validate.OneOf(list(STATES)))
    assigned_to = Number(1)
    q = fields.String(load_default="", validate=validate.Length(max=SEARCH_MAX_LENGTH))
    cursor = Cursor(int)


@blueprint.post("/tasks")
@requires("create_task")
@idempotent
@blueprint.arguments(NewTask)
@blueprint.response(201, TaskState)
def create_task(body: dict[str, str]) -> dict[str, Any]:
    """Create a task and assign it to a random employee."""
    created = commands.create_task(current_actor(), **body)
    return _state(created.task_id, created.assigned_to, is_finished=False)


@blueprint.post("/tasks/reassignment")
@requires("reassign_tasks")
@idempotent
@blueprint.response(202, Reassignment, headers={"Location": LOCATION})
def reassign_tasks() -> tuple[dict[str, int], dict[str, str]]:
    """Draw a fresh random assignee for every open task; Location says how the fees are posted."""
    made = commands.reassign_tasks(current_actor())
    url = url_for("tasks_api.show_reassignment", reassignment_id=made.id)
    return {"reassigned": made.count}, {"Location": url}


@blueprint.get("/tasks/reassignments/<int:reassignment_id>")
@requires("reassign_tasks")
@blueprint.response(200, ReassignmentProgress)
@blueprint.alt_response(404, "NOT_FOUND")
def show_reassignment(reassignment_id: int) -> dict[str, Any]:
    """How far the ledger is with the fees of a reassignment."""
    run = queries.reassignment(db.session(), reassignment_id)
    posting = queries.posting_of_reassignment(db.session(), reassignment_id)
    return {
        "id": run.id,
        "at": run.at,
        "reassigned": run.tasks,
        "posted": posting.posted,
        "left": posting.left,
        "parked": posting.parked,
        "charged": posting.fees_cents,
        "currency": settings.current().currency,
    }


@blueprint.post("/tasks/<int:task_id>/completion")
@requires("complete_own_task")
@idempotent
@blueprint.response(200, TaskState)
@blueprint.alt_response(404, "NOT_FOUND")
def complete_task(task_id: int) -> dict[str, Any]:
    """Complete an open task of one's own."""
    actor = current_actor()
    commands.complete_task(actor, task_id)
    return _state(task_id, actor.user_id, is_finished=True)


@blueprint.get("/me/tasks")
@requires("see_own_tasks")
@blueprint.arguments(OwnTasksQuery, location="query")
@blueprint.response(200, TaskPage)
def show_my_assigned_tasks(query: dict[str, Any]) -> dict[str, Any]:
    """One's own tasks, newest first."""
    rows = queries.tasks_of(
        db.session(),
        current_actor().user_id,
        finished=STATES[query["state"]],
        before=_before(query),
        limit=query["limit"],
    )
    return _page(rows, query)


@blueprint.get("/tasks")
@requires("see_all_tasks")
@blueprint.arguments(AllTasksQuery, location="query")
@blueprint.response(200, TaskPage)
def show_all_assigned_tasks(query: dict[str, Any]) -> dict[str, Any]:
    """All tasks and who has them, newest first."""
    wanted = TaskFilter(
        is_finished=STATES[query["state"]] if "state" in query else None,
        assigned_to=[query["assigned_to"]] if "assigned_to" in query else None,
        words=query["q"].split(),
    )
    rows = queries.all_tasks(db.session(), wanted, before=_before(query), limit=query["limit"])
    return _page(rows, query)


def _state(task_id: int, assigned_to: int, *, is_finished: bool) -> dict[str, Any]:
    return {"id": task_id, "assigned_to": assigned_to, "is_finished": is_finished}


def _before(query: dict[str, Any]) -> int | None:
    place = query.get("cursor")
    return place[0] if place else None


def _page(rows: list[TaskRow], query: dict[str, Any]) -> dict[str, Any]:
    limit = query["limit"]
    page = page_of(rows[:limit], lambda row: (row.id,), more=len(rows) > limit)
    return {**page, "currency": settings.current().currency}
