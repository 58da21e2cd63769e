"""What an account may be called: the rules of a login and an e-mail address."""

from __future__ import annotations

import re
from dataclasses import dataclass

from app.auth import passwords
from app.kernel.errors import BadInput
from app.kernel.messages import said
from app.kernel.policy import Role

LOGIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,39}")
EMAIL = re.compile(r"[!-?A-~]{1,64}@[0-9A-Za-z](?:[0-9A-Za-z.-]*[0-9A-Za-z])?")
MAX_EMAIL_LENGTH = 254


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAccount:
    """A login, an address and a password that passed the rules; a service has no password."""

    login: str
    email: str
    role: Role
    password: str | None


def checked_account(
    *, login: str, email: str, role: Role | str, password: str | None
) -> NewAccount:
    """The account, when all of it is in order. Raises BadInput naming every field that is not."""
    login, email = login.strip(), email.strip()
    problems = {"login": _login_problem(login), "email": _email_problem(email)}
    known_role = _role(role)
    if known_role is None:
        problems["role"] = said("There is no such role")
    elif known_role is Role.INTERNALSERVICE:
        problems["password"] = said("A service has tokens only") if password else None
    else:
        problems["password"] = _password_problem(password or "", login, email)
    found = {field: problem for field, problem in problems.items() if problem}
    if found or known_role is None:
        raise BadInput(fields=found)
    return NewAccount(login=login, email=email, role=known_role, password=password or None)


def _role(role: Role | str) -> Role | None:
    try:
        return Role(role)
    except ValueError:
        return None


def _login_problem(login: str) -> str | None:
    if LOGIN.fullmatch(login):
        return None
    return said("Use 2 to 40 Latin letters, digits, dots, dashes or underscores")


def _email_problem(email: str) -> str | None:
    if len(email) <= MAX_EMAIL_LENGTH and EMAIL.fullmatch(email) and ".." not in email:
        return None
    return said("This is not an e-mail address")


def _password_problem(password: str, login: str, email: str) -> str | None:
    try:
        passwords.checked_password(password, login=login, email=email)
    except BadInput as error:
        return error.fields["password"]
    return None
