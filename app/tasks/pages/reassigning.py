"""Reassigning all open tasks: what it would do, doing it, and how far the ledger is with it."""

from __future__ import annotations

from typing import Any

from flask import Response, flash, render_template, url_for

from app.kernel import settings
from app.kernel.db import db
from app.kernel.errors import Conflict
from app.tasks import commands, queries
from app.tasks.pages import blueprint
from app.tasks.pages.views import posting_view
from app.web import htmx
from app.web.access import current_actor, requires
from app.web.idempotency import idempotent
from app.web.language import translated


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
    """Draw a new assignee for every open task; its page shows how the fees are charged."""
    try:
        made = commands.reassign_tasks(current_actor())
    except Conflict as error:
        flash(translated(error.message), "error")
        return htmx.go_to(url_for("tasks.reassign"))
    return htmx.go_to(url_for("tasks.reassignment", reassignment_id=made.id))


@blueprint.get("/tasks/reassignments")
@requires("reassign_tasks")
def reassignments() -> str:
    """The last reassignments, newest first."""
    runs = [_listed(row) for row in queries.reassignments(db.session())]
    return render_template("tasks/reassignments.html", runs=runs)


@blueprint.get("/tasks/reassignments/<int:reassignment_id>")
@requires("reassign_tasks")
def reassignment(reassignment_id: int) -> Response:
    """How far the ledger is with a reassignment; asks again by itself until it is done."""
    run = queries.reassignment(db.session(), reassignment_id)
    posting = queries.posting_of_reassignment(db.session(), reassignment_id)
    names = {"run": run, "work": posting_view(posting, url=_url(reassignment_id))}
    return htmx.page("tasks/reassignment.html", "tasks/_posting_now.html", **names)


def _listed(row: Any) -> dict[str, Any]:
    return {
        "url": _url(row.id),
        "at": row.at,
        "count": row.tasks,
        "left": row.tasks - row.delivered,
        "actor_id": row.actor_id,
        "actor_login": row.actor_login,
    }


def _url(reassignment_id: int) -> str:
    return url_for("tasks.reassignment", reassignment_id=reassignment_id)
