"""Event flow: the newest events, each consumer's cursor, and what one event led to."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Response, request, url_for

from app.events import EVENTS
from app.guardian import queries
from app.guardian.pages.blueprint import blueprint
from app.kernel.db import db
from app.kernel.errors import BadInput, NotFound
from app.kernel.messages import said
from app.outbox.status import Wanted, consumers, newest_events
from app.web import keyset, live
from app.web.access import requires
from app.web.arguments import is_whole_number
from app.web.forms import Form
from app.web.htmx import go_to, page


@blueprint.get("/events")
@requires("see_system")
def events() -> Response:
    """A page of the log, newest first; each consumer's cursor, lag and batch times.

    `q` is a task's number or an event's id, `type` a type of events: those alone are listed.
    """
    session: Any = db.session()
    form = Form.filled({name: request.args.get(name, "").strip() for name in ("q", "type")})
    try:
        wanted = _wanted(form)
    except BadInput as error:
        return _events_page(session, form.refuse(error), status=error.status)
    return _events_page(session, form, wanted)


def _events_page(
    session: Any, form: Form, wanted: Wanted | None = None, status: int = 200
) -> Response:
    """The page of the events that are wanted; of none where what was asked for is wrong."""
    before = _before(request.args.get("cursor", ""))
    known = system_version(session)  # before the rows
    rows = newest_events(session, wanted, before=before, limit=keyset.PAGE + 1) if wanted else []
    shown = rows[: keyset.PAGE]
    more = len(rows) > keyset.PAGE
    last = keyset.encode(int(shown[-1].xid), shown[-1].id) if more else None
    if wanted and wanted.event_id and not rows and queries.archived_event(session, wanted.event_id):
        return go_to(url_for("guardian.event", event_id=wanted.event_id))
    asked: dict[str, Any] = {name: value or None for name, value in form.values.items()}
    return page(
        "guardian/events.html",
        "guardian/_events.html" if before else None,
        status,
        form=form,
        types=sorted(event.__name__ for event in EVENTS),
        is_filtered=any(asked.values()),
        here_url=url_for("guardian.events", **asked),
        events=shown,
        next_url=url_for("guardian.events", **asked, cursor=last) if last else None,
        consumers=[] if before else consumers(session),
        archived=None if more else queries.archived(session),
        version=known,
    )


@blueprint.get("/version")
@requires("see_system")
def version() -> Response:
    """Whether the pages of the system have something new: 304 if not."""
    return live.answer(system_version(db.session()))


def system_version(session: Any) -> str:
    """The version of Health and of the event flow."""
    found = queries.version(session)
    return live.version(
        health=found.rounds,
        events=found.newest or 0,
        consumers=f"{found.batches}.{found.parked}",
    )


@blueprint.get("/events/<uuid:event_id>")
@requires("see_system")
def event(event_id: UUID) -> Response:
    """One event: its payload, its cause, what it made, and who has read it."""
    session: Any = db.session()
    found = queries.event(session, event_id)
    if found is None:
        return _archived_event(session, event_id)
    return page(
        "guardian/event.html",
        event=found,
        transfers=queries.transfers_of(session, event_id),
        consumers=queries.consumers_of(session, event_id),
    )


def _archived_event(session: Any, event_id: UUID) -> Response:
    found = queries.archived_event(session, event_id)
    if found is None:
        raise NotFound
    transfers = queries.transfers_of(session, event_id)
    return page("guardian/archived_event.html", event=found, transfers=transfers)


def _wanted(form: Form) -> Wanted:
    """Which events the form asks for. Raises BadInput for what none can have."""
    found, wrong = form["q"], {}
    event_id = _uuid(found)
    if found and event_id is None and not is_whole_number(found):
        wrong["q"] = said("Give the number of a task, or the id of an event")
    if form["type"] and form["type"] not in {event.__name__ for event in EVENTS}:
        wrong["type"] = said("There is no such type of events")
    if wrong:
        raise BadInput(fields=wrong)
    task_id = int(found) if found and event_id is None else None
    return Wanted(task_id=task_id, event_id=event_id, type=form["type"] or None)


def _uuid(text: str) -> UUID | None:
    """The id of an event as it is written; 32 digits in a row are no task's number either."""
    try:
        return UUID(text)
    except ValueError:
        return None


def _before(cursor: str) -> tuple[str, int] | None:
    """Where the page before this one ended; what is no cursor is the beginning."""
    if not cursor:
        return None
    try:
        xid, event_id = keyset.decode(cursor, int, int)
    except ValueError:
        return None
    return str(xid), event_id
