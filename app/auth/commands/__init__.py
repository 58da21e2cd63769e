"""Writes of the context. An actor of None is the operator at the command line."""

from app.auth.commands.accounts import (
    Changed,
    change_role,
    create_user,
    register_user,
    set_active,
)
from app.auth.commands.credentials import (
    WrongCredentials,
    change_password,
    sign_in,
    verify_credentials,
)
from app.auth.commands.digest import set_digest
from app.auth.commands.display import Display, set_display, time_zones
from app.auth.commands.invitations import (
    accept_first_administrator,
    accept_password_reset,
    invite_first_administrator,
    invite_to_reset_password,
)
from app.auth.commands.prune import prune_access
from app.auth.commands.sessions import (
    end_access_of,
    end_other_sessions,
    end_session,
    open_session,
    reauthenticate,
    sign_out,
)
from app.auth.commands.tokens import IssuedToken, issue_token, revoke_token

__all__ = [
    "Changed",
    "Display",
    "IssuedToken",
    "WrongCredentials",
    "accept_first_administrator",
    "accept_password_reset",
    "change_password",
    "change_role",
    "create_user",
    "end_access_of",
    "end_other_sessions",
    "end_session",
    "invite_first_administrator",
    "invite_to_reset_password",
    "issue_token",
    "open_session",
    "prune_access",
    "reauthenticate",
    "register_user",
    "revoke_token",
    "set_active",
    "set_digest",
    "set_display",
    "sign_in",
    "sign_out",
    "time_zones",
    "verify_credentials",
]
