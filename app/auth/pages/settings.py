"""One's own settings: how pages are shown, password, sessions, API tokens."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from flask import Response, flash, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from sqlalchemy import Row

from app.auth import commands, queries
from app.auth.pages.blueprint import blueprint
from app.auth.pages.reauthentication import needs_password, reauthenticate
from app.auth.pages.words import device
from app.kernel.db import db
from app.kernel.errors import BadInput
from app.web import sessions
from app.web.access import current_actor, current_user, requires
from app.web.flashes import flash_undo
from app.web.forms import Form
from app.web.htmx import go_to, page
from app.web.idempotency import run_shown_once
from app.web.language import (
    LANGUAGE_COOKIE,
    THEME_COOKIE,
    chosen_language,
    chosen_theme,
    refresh,
    remember,
)
from app.web.sessions import SignedIn

TOKEN_DAYS = 90
DISPLAY = ("locale", "theme", "time_zone", "shortcuts")


@blueprint.get("/settings")
@requires("see_own_settings")
def settings() -> Response:
    """One's own settings."""
    return _page(Form())


@blueprint.post("/settings/display")
@requires("see_own_settings")
def set_display() -> Response:
    """Choose language, theme, time zone and shortcuts; the answer offers the way back."""
    form = Form.sent(*DISPLAY)
    before = _display_of(current_user())
    try:
        commands.set_display(current_actor(), _chosen(form))
    except BadInput as error:
        return _page(form.refuse(error), error.status)
    sessions.look_again()
    refresh()  # the words that follow are in the language that was chosen
    flash_undo(gettext("Pages are shown as you chose."), url_for("auth.set_display"), before)
    response = go_to(url_for("auth.settings"))
    remember(response, LANGUAGE_COOKIE, form["locale"] or None)
    remember(response, THEME_COOKIE, form["theme"] or None)
    return response


@blueprint.post("/settings/digest")
@requires("see_own_settings")
def set_digest() -> Response:
    """Choose whether one's unread notifications come by mail too."""
    form = Form.sent("digest")
    done = (
        gettext("What you have not read comes by e-mail once a day.")
        if form["digest"] == "daily"
        else gettext("No digest comes by e-mail.")
    )
    return _done_or_refused(
        form, lambda: commands.set_digest(current_actor(), form["digest"]), done
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
def create_token() -> ResponseReturnValue:
    """Show, once, a new API token of one's own."""
    form = Form.sent("token_name")
    try:
        reauthenticate()
    except BadInput as error:
        return _page(form.refuse(error), error.status)
    made = gettext("That token was made already, and is shown only once.")
    return run_shown_once(lambda: _new_token(form), lambda: _back(made))


def _new_token(form: Form) -> Response:
    actor = current_actor()
    try:
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
    found = queries.sessions_of(session, user.id)
    digest = queries.digest_of(session, user.id)
    return page(
        "auth/settings.html",
        None,
        status,
        form=Form({**_display_of(user), "digest": digest, **form.values}, form.errors),
        sessions=[_session(row, user.session_number) for row in found],
        tokens_list=queries.tokens_of(session, user.id),
        time_zones=[(name, name) for name in commands.time_zones()],
        needs_password=needs_password(),
        new_token=new_token,
    )


def _display_of(user: SignedIn) -> dict[str, str]:
    """How pages are shown to the person now, as the form's fields hold it.

    What was chosen in this browser before signing in counts where the person chose nothing.
    """
    return {
        "locale": chosen_language() or "",
        "theme": chosen_theme() or "",
        "time_zone": user.time_zone or "",
        "shortcuts": "on" if user.shortcuts else "off",
    }


def _chosen(form: Form) -> commands.Display:
    return commands.Display(
        locale=form["locale"] or None,
        theme=form["theme"] or None,
        time_zone=form["time_zone"] or None,
        shortcuts=form["shortcuts"] != "off",
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
