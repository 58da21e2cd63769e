"""Who may do what: the whole table of roles, in one place, denied by default.

Row rules (own tasks, own account) are not here: they are in the WHERE of the statement, so that
a foreign row is a 404.
"""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """The roles of the `users` table."""

    ADMINISTRATOR = "administrator"
    MANAGER = "manager"
    DEVELOPER = "developer"
    BOSS = "boss"
    ACCOUNTANT = "accountant"
    INTERNALSERVICE = "internalservice"
    OTHER = "other"


HUMANS = frozenset(Role) - {Role.INTERNALSERVICE}
ASSIGNABLE = HUMANS - {Role.ADMINISTRATOR, Role.MANAGER}
SELF_REGISTERED = frozenset({Role.DEVELOPER, Role.OTHER})

_ADMINISTRATOR = frozenset({Role.ADMINISTRATOR})
_BOARD = frozenset({Role.ADMINISTRATOR, Role.MANAGER})
_ACCOUNTANT = frozenset({Role.ACCOUNTANT})

POLICY: dict[str, frozenset[Role]] = {
    # everyone who is signed in
    "end_own_session": frozenset(Role),
    "see_own_settings": HUMANS,
    "see_own_notifications": HUMANS,
    # task tracker
    "create_task": HUMANS,
    "see_own_tasks": HUMANS,
    "complete_own_task": HUMANS,
    "see_all_tasks": _BOARD,
    "reassign_tasks": _BOARD,
    "import_tasks": _BOARD,
    # accounting
    "see_own_account": HUMANS,
    "see_all_transfers": _ACCOUNTANT,
    "pay_to_workers": frozenset({Role.INTERNALSERVICE, Role.ACCOUNTANT}),
    "end_demo_day": _ACCOUNTANT,
    "correct_transfers": _ACCOUNTANT,
    "approve_corrections": _ACCOUNTANT | _ADMINISTRATOR,
    "resend_mail": _ACCOUNTANT,
    "read_mail_folder": _ADMINISTRATOR,
    # analytics
    "see_analytics": _ADMINISTRATOR,
    # people and the system
    "manage_people": _ADMINISTRATOR,
    "see_system": _ADMINISTRATOR,
    "stop_and_resume": _ADMINISTRATOR,
    "settle_dead_letters": _ADMINISTRATOR,
}


def may(role: Role, action: str) -> bool:
    """Whether `role` may do `action`. An action that is not in the table is nobody's."""
    return role in POLICY.get(action, frozenset())
