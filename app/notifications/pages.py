"""One's notifications: the page, marking them as read, and the counter in every page's header."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from flask import Blueprint, Response, flash, request, url_for
from flask_babel import gettext

from app.kernel.db import db
from app.kernel.errors import BadInput
from app.kernel.unread import UNREAD_MAX
from app.notifications import commands, queries
from app.notifications.models import KINDS
from app.notifications.queries import PAGE, Line, Told
from app.web import htmx, live, stopped
from app.web.access import current_actor, requires
from app.web.arguments import is_whole_number, whole_number
from app.web.idempotency import idempotent
from app.web.sessions import signed_in

blueprint = Blueprint("notifications", __name__)
# What every live page is told besides, when it asks whether something has changed.
UNREAD_HEADER = "X-Unread"
VERSION = "version"
# What a line of several kinds is called.
MIXED = "mixed"


@dataclass(frozen=True, slots=True)
class ToldView:
    """A task, a payout or a correction that a line tells of, with where it leads."""

    kind: str
    url: str
    ticket_key: str | None
    name: str | None
    cents: int | None
    day: date | None
    note: str | None


@dataclass(frozen=True, slots=True)
class LineView:
    """A line: of one thing, or of several, then with counts by kind in the order of KINDS."""

    id: int
    at: datetime
    kind: str
    actor_login: str | None
    is_unread: bool
    counts: dict[str, int]
    told: list[ToldView]
    more_count: int

    @property
    def only(self) -> ToldView | None:
        """What the line tells of when that is one thing."""
        return self.told[0] if sum(self.counts.values()) == len(self.told) == 1 else None


@blueprint.get("/notifications")
@requires("see_own_notifications")
def mine() -> Response:
    """One's notifications, newest first."""
    before = whole_number("cursor")
    found = queries.lines_of(db.session(), current_actor().user_id, before=before)
    lines, is_first_page = found[:PAGE], before is None
    names = {
        "lines": [_view(line) for line in lines],
        "next_url": _url_after(lines) if len(found) > PAGE else None,
    }
    if not is_first_page and htmx.wants_fragment():
        return htmx.page("notifications/_page.html", **names)
    newest = lines[0].id if lines and is_first_page and _unread() else None
    return htmx.page("notifications/mine.html", newest=newest, **names)


@blueprint.get("/notifications/version")
@requires("see_own_notifications")
def version() -> Response:
    """Whether the number of unread ones has changed since If-None-Match: 304 if not.

    The number is in the header that every live page is told.
    """
    return live.answer(live.version(unread=_label()))


@blueprint.post("/notifications/reading")
@requires("see_own_notifications")
@idempotent
def mark_read() -> Response:
    """Mark as read what the page showed: what came after it stays unread."""
    up_to = request.form.get("up_to", "")
    if not is_whole_number(up_to):
        raise BadInput(fields={"up_to": "A whole number"})
    commands.mark_read(current_actor(), up_to=int(up_to))
    flash(gettext("All of them are marked as read."))
    return htmx.go_to(url_for("notifications.mine"))


@blueprint.app_context_processor
def _for_the_header() -> dict[str, Any]:
    return {"unread_label": _label}


@blueprint.after_app_request
def _tell_live_page(response: Response) -> Response:
    """Tell a page that asks what has changed how many are unread, in a 304 too."""
    asks = (request.endpoint or "").endswith(VERSION)
    if asks and response.status_code in {200, 304}:
        response.headers[UNREAD_HEADER] = _label()
    return response


def _label() -> str:
    """What the bell counts: `0`, `3`, `99+`; nothing where nobody reads, or nobody can tell."""
    user = signed_in()
    if user is None or stopped.has_failed():
        return ""
    return f"{UNREAD_MAX - 1}+" if _unread() >= UNREAD_MAX else str(_unread())


def _unread() -> int:
    """How many of the reader's lines are unread: found with who the reader is."""
    user = signed_in()
    return user.unread if user else 0


def _url_after(lines: Sequence[Line]) -> str:
    return url_for("notifications.mine", cursor=lines[-1].id)


def _view(line: Line) -> LineView:
    counts = {kind: getattr(line, kind) for kind in KINDS if getattr(line, kind)}
    return LineView(
        id=line.id,
        at=line.occurred_at,
        kind=next(iter(counts)) if len(counts) == 1 else MIXED,
        actor_login=line.actor_login,
        is_unread=line.is_unread,
        counts=counts,
        told=[_told(one) for one in line.told],
        more_count=line.count - len(line.told),
    )


def _told(one: Told) -> ToldView:
    return ToldView(
        kind=one.kind,
        url=_url(one),
        ticket_key=one.ticket_key,
        name=one.name,
        cents=one.cents,
        day=one.business_day,
        note=one.note,
    )


def _url(one: Told) -> str:
    """A task's story, a correction in their list, or the transfer's line in one's own account."""
    if one.task_id is not None:
        return url_for("tasks.story", task_id=one.task_id)
    if one.correction_id is not None:
        return url_for("accounting.corrections", _anchor=f"correction-{one.correction_id}")
    if one.business_day is None:  # the ledger does not know the transfer
        return url_for("accounting.mine")
    day: dict[str, Any] = {"from": one.business_day, "to": one.business_day}
    return url_for("accounting.mine", _anchor=f"line-{one.transfer_id}", **day)
