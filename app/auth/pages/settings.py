"""One's own settings: time zone, password, sessions, API tokens."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from zoneinfo import available_timezones

from flask import Response, flash, url_for
from flask_babel import gettext
from sqlalchemy import Row

from app.auth import commands, queries
from app.auth.pages.blueprint import blueprint
from app.auth.pages.reauthentication import needs_password, reauthenticate
from app.auth.pages.words import device
from app.kernel.db import db
from app.kernel.errors import BadInput
from app.web.access import current_actor, current_user, requires
from app.web.forms import Form
from app.web.htmx import go_to, page

TOKEN_DAYS = 90


@blueprint.get("/settings")
@requires("see_own_settings")
def settings() -> Response:
    """One's own settings."""
    return _page(Form())


@blueprint.post("/settings/time-zone")
@requires("see_own_settings")
def set_time_zone() -> Response:
    """Choose the time zone that times are shown in; empty is the company's."""
    form = Form.sent("time_zone")
    return _done_or_refused(
        form,
        lambda: commands.set_time_zone(current_actor(), form["time_zone"] or None),
        gettext("Times are shown in that time zone now."),
    )


@blueprint.post("/settings/password")
@requires("see_own_settings")
def change_password() -> Response:
    """Change one's password; other sessions and all tokens end."""
    form = Form.sent("current_password", "new_password")

    def change() -> None:
        session_number = current_user().session_number
        reauthenticate("current_password", always=True)
        commands.change_password(
            current_actor(), new_password=form["new_password"], keep_session=session_number
        )

    done = gettext("Your password is changed; everything else that was signed in is signed out.")
    return _done_or_refused(form, change, done)


@blueprint.post("/settings/sessions/<int:session_id>")
@requires("see_own_settings")
def end_session(session_id: int) -> Response:
    """End one of one's own sessions."""
    commands.end_session(current_actor(), number=session_id)
    return _back(gettext("That session has ended."))


@blueprint.post("/settings/sessions")
@requires("see_own_settings")
def end_other_sessions() -> Response:
    """End all of one's own sessions but this one."""
    commands.end_other_sessions(current_actor(), keep=current_user().session_number or 0)
    return _back(gettext("All other sessions have ended."))


@blueprint.post("/settings/tokens")
@requires("see_own_settings")
def create_token() -> Response:
    """Show, once, a new API token of one's own."""
    form = Form.sent("token_name")
    try:
        reauthenticate()
        actor = current_actor()
        issued = commands.issue_token(
            actor,
            user_id=actor.user_id,
            name=form["token_name"].strip(),
            lifetime=timedelta(days=TOKEN_DAYS),
        )
    except BadInput as error:
        return _page(form.refuse(error), error.status)
    return _page(Form(), new_token=issued.token)


@blueprint.post("/settings/tokens/<int:token_id>")
@requires("see_own_settings")
def revoke_token(token_id: int) -> Response:
    """Revoke one of one's own API tokens."""
    actor = current_actor()
    commands.revoke_token(actor, user_id=actor.user_id, token_id=token_id)
    return _back(gettext("The token is revoked."))


def _done_or_refused(form: Form, change: Callable[[], None], done: str) -> Response:
    try:
        change()
    except BadInput as error:
        return _page(form.refuse(error), error.status)
    return _back(done)


def _back(done: str) -> Response:
    flash(done)
    return go_to(url_for("auth.settings"))


def _page(form: Form, status: int = 200, *, new_token: str | None = None) -> Response:
    user = current_user()
    session = db.session()
    sessions = queries.sessions_of(session, user.id)
    return page(
        "auth/settings.html",
        None,
        status,
        form=Form({"time_zone": user.time_zone or "", **form.values}, form.errors),
        sessions=[_session(row, user.session_number) for row in sessions],
        tokens_list=queries.tokens_of(session, user.id),
        time_zones=[(name, name) for name in sorted(available_timezones())],
        needs_password=needs_password(),
        new_token=new_token,
    )


def _session(row: Row[Any], present: int | None) -> dict[str, Any]:
    return {
        "id": row.number,
        "device": device(row.user_agent),
        "address": row.ip,
        "created_at": row.created_at,
        "last_seen_at": row.last_seen_at,
        "is_current": row.number == present,
    }
