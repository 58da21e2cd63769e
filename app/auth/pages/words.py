"""Codes in the reader's words."""

from __future__ import annotations

import re
from collections.abc import Iterable

from flask_babel import lazy_gettext

from app.kernel.policy import Role

ROLE_NAMES = {
    Role.ADMINISTRATOR: lazy_gettext("administrator"),
    Role.MANAGER: lazy_gettext("manager"),
    Role.DEVELOPER: lazy_gettext("developer"),
    Role.BOSS: lazy_gettext("boss"),
    Role.ACCOUNTANT: lazy_gettext("accountant"),
    Role.INTERNALSERVICE: lazy_gettext("internal service"),
    Role.OTHER: lazy_gettext("other"),
}
# The telling names first: Edge and Opera also say Chrome, and Chrome also says Safari.
_BROWSERS = ("Edg", "OPR", "YaBrowser", "Firefox", "Chrome", "Safari", "curl", "python")
_SYSTEM = re.compile(r"(Windows|Android|iPhone|iPad|Mac OS X|CrOS|Linux)")
_PLAIN = {"Edg": "Edge", "OPR": "Opera", "YaBrowser": "Yandex", "Mac OS X": "macOS"}


def role_choices(roles: Iterable[Role]) -> list[tuple[str, str]]:
    """Roles for a select: (value, name), in the table's order."""
    wanted = set(roles)
    return [(role.value, str(name)) for role, name in ROLE_NAMES.items() if role in wanted]


def device(user_agent: str) -> str:
    """What a browser is called, shortly: `Firefox, Linux`; empty when it does not say."""
    browser = [name for name in _BROWSERS if name in user_agent][:1]
    found = [*browser, *_SYSTEM.findall(user_agent)[:1]]
    return ", ".join(_PLAIN.get(name, name) for name in found)
