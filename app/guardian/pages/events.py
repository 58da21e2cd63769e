"""Event flow: the newest events, each consumer's cursor, and what one event led to."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Response, request, url_for

from app.guardian import queries
from app.guardian.pages.blueprint import blueprint
from app.kernel.db import db
from app.kernel.errors import NotFound
from app.outbox import status
from app.web import keyset, live
from app.web.access import requires
from app.web.htmx import page


@blueprint.get("/events")
@requires("see_system")
def events() -> Response:
    """A page of the log, newest first; each consumer's cursor, lag and batch times."""
    session: Any = db.session()
    before = _before(request.args.get("cursor", ""))
    known = system_version(session)  # before the rows
    rows = status.newest_events(session, before=before, limit=keyset.PAGE + 1)
    shown = rows[: keyset.PAGE]
    more = len(rows) > keyset.PAGE
    last = keyset.encode(int(shown[-1].xid), shown[-1].id) if more else None
    return page(
        "guardian/events.html",
        "guardian/_events.html" if before else None,
        events=shown,
        next_url=url_for("guardian.events", cursor=last) if last else None,
        consumers=[] if before else status.consumers(session),
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


def _before(cursor: str) -> tuple[str, int] | None:
    """Where the page before this one ended; what is no cursor is the beginning."""
    if not cursor:
        return None
    try:
        xid, event_id = keyset.decode(cursor, int, int)
    except ValueError:
        return None
    return str(xid), event_id
