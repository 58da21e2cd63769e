"""Rules about people that need more than a role, pure."""

from __future__ import annotations

from app.kernel.actor import Actor
from app.kernel.policy import SELF_REGISTERED, Role


def may_manage(actor: Actor | None) -> bool:
    """Administrators manage people; so does the operator at the command line (None)."""
    return actor is None or actor.may("manage_people")


def may_change(actor: Actor | None, user_id: int) -> bool:
    """Nobody changes their own role, nor deactivates themselves."""
    return may_manage(actor) and (actor is None or actor.user_id != user_id)


def may_register_as(role: Role) -> bool:
    """Which roles people may give themselves."""
    return role in SELF_REGISTERED


def may_become(role: Role, new_role: Role) -> bool:
    """A service has no password and stays a service; a person does not become one."""
    return (role is Role.INTERNALSERVICE) == (new_role is Role.INTERNALSERVICE)
