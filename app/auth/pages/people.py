"""People, for administrators: list, roles, deactivation, sessions, tokens, password links."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import Response, current_app, flash, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext, ngettext
from sqlalchemy import Row

from app.auth import commands, queries
from app.auth.pages.blueprint import blueprint
from app.auth.pages.reauthentication import needs_password, reauthenticate
from app.auth.pages.words import role_choices
from app.kernel.db import db
from app.kernel.errors import BadInput, Conflict, NotFound
from app.kernel.policy import ASSIGNABLE, HUMANS, Role
from app.kernel.settings import Settings
from app.web.access import current_actor, current_user, requires
from app.web.forms import Form
from app.web.htmx import go_to, page
from app.web.idempotency import idempotent, run_shown_once

MAX_SEARCH_LENGTH = 100
SERVICE_TOKEN_DAYS = 90
# People with these roles are assigned no tasks.
LEAVING = HUMANS - ASSIGNABLE


@blueprint.get("/people")
@requires("manage_people")
def people() -> Response:
    """A page of people by login; `q` searches logins and addresses."""
    return _people_page(Form.filled({"role": Role.DEVELOPER}))


@blueprint.post("/people")
@requires("manage_people")
@idempotent
def create_person() -> Response:
    """Make an account of any role."""
    form = Form.sent("login", "email", "role", "password")
    try:
        user_id = commands.create_user(
            current_actor(),
            login=form["login"],
            email=form["email"],
            role=form["role"],
            password=form["password"] or None,
        )
    except BadInput as error:
        return _people_page(form.refuse(error), error.status)
    flash(gettext("%(login)s has an account now.", login=form["login"].strip()))
    return go_to(url_for("auth.person", user_id=user_id))


@blueprint.get("/people/<int:user_id>")
@requires("manage_people")
def person(user_id: int) -> Response:
    """One person: role, state, sessions, tokens; with `role`, asks whether they shall have it."""
    return _person_page(user_id, Form(), asked_role=request.args.get("role", ""))


@blueprint.post("/people/<int:user_id>/role")
@requires("manage_people")
def change_role(user_id: int) -> Response:
    """Give a person another role; who can no longer be assigned hands over their open tasks.

    That charges others at once: it is asked first, by a script, or by the page where there is none.
    """
    form = Form.sent("role")
    try:
        reauthenticate()
        if request.form.get("is_sure") != "yes" and _hands_over(_found(user_id), form["role"]):
            return go_to(url_for("auth.person", user_id=user_id, role=form["role"]))
        changed = commands.change_role(current_actor(), user_id=user_id, role=form["role"])
    except (BadInput, Conflict) as error:
        return _person_page(user_id, form.refuse(error), error.status)
    return _back_to(user_id, _done(changed, gettext("The role is changed.")))


@blueprint.post("/people/<int:user_id>/deactivation")
@requires("manage_people")
def deactivate(user_id: int) -> Response:
    """Deactivate a person: sessions and tokens end, open tasks are handed over."""
    return _set_active(user_id, is_active=False)


@blueprint.post("/people/<int:user_id>/activation")
@requires("manage_people")
def activate(user_id: int) -> Response:
    """Activate a deactivated person: they can sign in again."""
    return _set_active(user_id, is_active=True)


@blueprint.post("/people/<int:user_id>/access")
@requires("manage_people")
def end_access(user_id: int) -> Response:
    """End all sessions of a person, and revoke all tokens."""
    _found(user_id)
    commands.end_access_of(current_actor(), user_id=user_id)
    return _back_to(user_id, gettext("All sessions and tokens have ended."))


@blueprint.post("/people/<int:user_id>/password")
@requires("manage_people")
def reset_password(user_id: int) -> ResponseReturnValue:
    """Show, once, a link with which the person chooses a new password."""
    try:
        reauthenticate()
    except BadInput as error:
        return _person_page(user_id, Form().refuse(error), error.status)
    return run_shown_once(lambda: _password_link(user_id), lambda: _shown_already(user_id))


@blueprint.post("/people/<int:user_id>/tokens")
@requires("manage_people")
def create_service_token(user_id: int) -> ResponseReturnValue:
    """Show, once, a new API token of a service, which cannot make one itself."""
    form = Form.sent("token_name")
    try:
        _must_be_a_service(user_id)
        reauthenticate()
    except (BadInput, Conflict) as error:
        return _person_page(user_id, form.refuse(error), error.status)
    return run_shown_once(lambda: _service_token(user_id, form), lambda: _shown_already(user_id))


def _password_link(user_id: int) -> Response:
    token = commands.invite_to_reset_password(current_actor(), user_id=user_id)
    settings: Settings = current_app.config["SETTINGS"]
    link = settings.public_url + url_for("auth.invitation", token=token)
    return _person_page(user_id, Form(), password_link=link)


def _service_token(user_id: int, form: Form) -> Response:
    try:
        issued = commands.issue_token(
            current_actor(),
            user_id=user_id,
            name=form["token_name"].strip(),
            lifetime=timedelta(days=SERVICE_TOKEN_DAYS),
        )
    except BadInput as error:
        return _person_page(user_id, form.refuse(error), error.status)
    return _person_page(user_id, Form(), new_token=issued.token)


def _shown_already(user_id: int) -> Response:
    return _back_to(user_id, gettext("That was made already, and is shown only once."))


def _set_active(user_id: int, *, is_active: bool) -> Response:
    try:
        reauthenticate()
        changed = commands.set_active(current_actor(), user_id=user_id, is_active=is_active)
    except (BadInput, Conflict) as error:
        return _person_page(user_id, Form().refuse(error), error.status)
    activated, deactivated = (
        gettext("The account is activated."),
        gettext("The account is deactivated."),
    )
    return _back_to(user_id, _done(changed, activated if is_active else deactivated))


def _done(changed: commands.Changed, words: str) -> str:
    """What is said afterwards: `words`, and how many tasks others have now."""
    if not changed.is_new:
        return str(gettext("Nothing was changed: it was so already."))
    if not changed.handed_over:
        return words
    told = ngettext(
        "One open task was handed over to someone else.",
        "%(num)s open tasks were handed over to others.",
        changed.handed_over,
    )
    return f"{words} {told}"


def _hands_over(somebody: Row[Any], role: str) -> bool:
    """Whether with that role a person could no longer be assigned the open tasks that they have."""
    return bool(role in LEAVING and somebody.is_assignable and somebody.open_tasks)


def _back_to(user_id: int, done: str) -> Response:
    flash(done)
    return go_to(url_for("auth.person", user_id=user_id))


def _must_be_a_service(user_id: int) -> None:
    if _found(user_id).role != Role.INTERNALSERVICE:
        raise Conflict("People make their own tokens")


def _found(user_id: int) -> Row[Any]:
    found = queries.person(db.session(), user_id)
    if found is None:
        raise NotFound
    return found


def _people_page(form: Form, status: int = 200) -> Response:
    search = request.args.get("q", "")[:MAX_SEARCH_LENGTH].strip()
    cursor = request.args.get("cursor", "")
    rows, last = queries.people(db.session(), after=cursor, search=search or None)
    next_url = url_for("auth.people", q=search or None, cursor=last) if last else None
    return page(
        "auth/people.html",
        "auth/_people.html" if cursor else None,
        status,
        people=rows,
        total=queries.number_of_people(db.session(), search or None),
        q=search,
        next_url=next_url,
        form=form,
        role_choices=role_choices(Role),
    )


def _person_page(
    user_id: int, form: Form, status: int = 200, *, asked_role: str = "", **shown_once: str
) -> Response:
    """The person's page; `password_link` and `new_token` are secrets that are shown this once.

    Where `asked_role` would take the person's open tasks from them, it asks whether it shall.
    """
    somebody = _found(user_id)
    is_service = somebody.role == Role.INTERNALSERVICE
    is_self = user_id == current_user().id
    asked = _hands_over(somebody, asked_role)
    role = asked_role if asked else somebody.role
    return page(
        "auth/person.html",
        None,
        status,
        person=somebody,
        form=Form({"role": role, **form.values}, form.errors),
        role_choices=role_choices({Role.INTERNALSERVICE} if is_service else HUMANS),
        can_change_role=not is_self and not is_service,
        asked=asked,
        leaving=sorted(LEAVING) if _hands_over(somebody, Role.MANAGER) else [],
        can_deactivate=not is_self and somebody.is_active,
        can_activate=not somebody.is_active,
        can_reset_password=somebody.is_active and not is_service,
        can_have_token=somebody.is_active and is_service,
        needs_password=needs_password(),
        **shown_once,
    )
