"""Showing the password again before a change that matters."""

from __future__ import annotations

from flask import request

from app.auth import commands
from app.kernel.errors import BadInput
from app.web import sessions
from app.web.access import current_user

FIELD = "own_password"


def needs_password() -> bool:
    """Whether the form must ask for the password: it was not given in the last 10 minutes."""
    return not current_user().is_fresh


def reauthenticate(field: str = FIELD, *, always: bool = False) -> None:
    """Check the password in the form's `field` when it is needed, and renew the session's id.

    Raises BadInput for that field, TooManyRequests.
    """
    user = current_user()
    if user.is_fresh and not always:
        return
    try:
        commands.verify_credentials(login=user.login, password=request.form.get(field, ""))
    except commands.WrongCredentials:
        raise BadInput(fields={field: "This is not your password"}) from None
    if user.session_id is not None:
        sessions.begin(commands.reauthenticate(user.session_id))
