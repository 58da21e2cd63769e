"""A task's story: who was assigned when, each fee and reward, each event and its posting."""

from __future__ import annotations

from typing import Any

from flask import render_template, url_for

from app.kernel.actor import Actor
from app.kernel.db import db
from app.tasks import queries
from app.tasks.pages import blueprint
from app.tasks.pages.views import checked_id, view
from app.tasks.queries import TaskRow
from app.web.access import current_actor, requires


@blueprint.get("/tasks/<int:task_id>")
@requires("see_own_tasks")
def story(task_id: int) -> str:
    """A task's story: who was assigned when, each fee and reward, each event and its posting."""
    actor = current_actor()
    row = queries.task_for(db.session(), actor, checked_id(task_id))
    sees_money = actor.may("see_all_transfers") or actor.may("see_analytics")
    income = queries.income_of(db.session(), row.id) if sees_money else None
    task = view(row, can_complete=_may_complete(row), income_cents=income)
    entries = [_entry(entry, actor) for entry in queries.story_of(db.session(), row.id)]
    return render_template("tasks/story.html", task=task, entries=entries)


def _may_complete(row: TaskRow) -> bool:
    return row.assigned_to == current_actor().user_id and not row.is_finished


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
    """Where the reader finds the transfer of a line of the story, if they may see it."""
    if actor.may("see_all_transfers"):
        return url_for("accounting.transfer", transfer_id=row.transfer_id)
    if row.user_id == actor.user_id:
        day = {"from": row.business_day, "to": row.business_day}
        return url_for("accounting.mine", _anchor=f"line-{row.transfer_id}", **day)
    return None
