"""Sign in, sign out, register, and the one-time links."""

from __future__ import annotations

from typing import Any

from flask import Response, current_app, flash, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from sqlalchemy import Row

from app.auth import commands, queries, throttle
from app.auth.pages.blueprint import blueprint
from app.auth.pages.words import role_choices
from app.kernel.db import db
from app.kernel.errors import AtesError, BadInput, NotFound
from app.kernel.policy import SELF_REGISTERED
from app.kernel.settings import Settings
from app.web import sessions
from app.web.access import public
from app.web.forms import Form
from app.web.htmx import go_to, page
from app.web.idempotency import run_once
from app.web.pages import local_url

UNPROCESSABLE = 422


@blueprint.get("/sign-in")
@public
def sign_in() -> Response:
    """The sign-in form; whoever is signed in already goes on."""
    back = local_url(request.args.get("next"))
    if sessions.signed_in() is not None:
        return go_to(back)
    return _sign_in_page(Form.filled({"login": ""}), back)


@blueprint.post("/sign-in")
@public
def sign_in_post() -> Response:
    """Sign in, with a new session whatever the browser came with."""
    form = Form.sent("login", "password")
    back = local_url(request.form.get("next"))
    try:
        session_id = commands.sign_in(
            login=form["login"], password=form["password"], user_agent=_user_agent()
        )
    except commands.WrongCredentials as error:
        return _sign_in_page(form.refuse(error), back, UNPROCESSABLE)
    _end_present_session()
    sessions.begin(session_id)
    return go_to(back)


@blueprint.post("/sign-out")
@public
def sign_out() -> Response:
    """End the session; without one there is nothing to do."""
    _end_present_session()
    sessions.forget()
    return go_to(url_for("auth.sign_in"))


@blueprint.get("/register")
@public
def register() -> Response:
    """The registration form, or the word that registration is closed."""
    return _register_page(Form.filled({"login": "", "email": "", "role": "developer"}))


@blueprint.post("/register")
@public
def register_post() -> ResponseReturnValue:
    """Register, and be signed in."""
    throttle.allow(throttle.count_attempt(throttle.REGISTER_ADDRESS))
    return run_once(_register)


@blueprint.get("/invitations/<token>")
@public
def invitation(token: str) -> Response:
    """The form behind a one-time link."""
    return _invitation_page(token, _invited(token), Form.filled({"login": "", "email": ""}))


@blueprint.post("/invitations/<token>")
@public
def invitation_post(token: str) -> ResponseReturnValue:
    """Become the first administrator, or choose a new password; and be signed in."""
    throttle.allow(throttle.count_attempt(throttle.INVITATION_ADDRESS))
    return run_once(lambda: _use_invitation(token))


def _register() -> Response:
    form = Form.sent("login", "email", "password", "role")
    try:
        user_id = commands.register_user(
            login=form["login"],
            email=form["email"],
            password=form["password"],
            role=form["role"],
            is_open=_settings().registration_open,
        )
    except BadInput as error:
        return _register_page(form.refuse(error), error.status)
    return _welcome(user_id, gettext("You have an account now."))


def _use_invitation(token: str) -> Response:
    form = Form.sent("login", "email", "password")
    invited = _invited(token)
    try:
        user_id = _accept(token, invited.purpose, form)
    except NotFound:
        raise
    except AtesError as error:
        # The link is not used up: with this answer, what was changed so far is undone.
        return _invitation_page(token, invited, form.refuse(error), error.status)
    return _welcome(user_id, gettext("Your password is set."))


def _accept(token: str, purpose: str, form: Form) -> int:
    if purpose == "password_reset":
        return commands.accept_password_reset(token, password=form["password"])
    return commands.accept_first_administrator(
        token, login=form["login"], email=form["email"], password=form["password"]
    )


def _invited(token: str) -> Row[Any]:
    invited = queries.invitation(db.session(), token)
    if invited is None:
        raise NotFound("This link was used already, or its time is over: ask for a new one")
    return invited


def _welcome(user_id: int, message: str) -> Response:
    _end_present_session()
    sessions.begin(commands.open_session(user_id, user_agent=_user_agent()))
    flash(message)
    return go_to(url_for("web.home"))


def _end_present_session() -> None:
    user = sessions.signed_in()
    if user is not None and user.session_id is not None:
        commands.sign_out(user.session_id)


def _sign_in_page(form: Form, back: str, status: int = 200) -> Response:
    return page(
        "auth/sign_in.html",
        None,
        status,
        form=form,
        next_url=back,
        registration_open=_settings().registration_open,
        **current_app.config.get("DEMO_SIGN_IN", {}),
    )


def _register_page(form: Form, status: int = 200) -> Response:
    return page(
        "auth/register.html",
        None,
        status,
        form=form,
        role_choices=role_choices(SELF_REGISTERED),
        registration_open=_settings().registration_open,
    )


def _invitation_page(token: str, invited: Row[Any], form: Form, status: int = 200) -> Response:
    template = "auth/first_admin.html" if invited.login is None else "auth/new_password.html"
    url = url_for("auth.invitation", token=token)
    return page(template, None, status, form=form, action_url=url, login=invited.login)


def _user_agent() -> str:
    return request.user_agent.string


def _settings() -> Settings:
    settings: Settings = current_app.config["SETTINGS"]
    return settings
