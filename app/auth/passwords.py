"""Passwords: Argon2id, 15 to 128 characters of any kind, none that is easily guessed."""

from __future__ import annotations

import re
import secrets
from functools import lru_cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from app.auth.common_passwords import is_common
from app.kernel.errors import BadInput
from app.kernel.messages import said

MIN_LENGTH = 15
MAX_LENGTH = 128
MIN_DISTINCT = 5
MIN_TELLING_PART = 4

# OWASP's first choice of 2025: 19 MiB, two passes, one lane.
_hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)


def checked_password(password: str, *, login: str, email: str, field: str = "password") -> str:
    """`password`, when it is good enough. Raises BadInput for `field` when it is not."""
    problem = _problem(password, login=login, email=email)
    if problem is not None:
        raise BadInput(fields={field: problem})
    return password


def hash_password(password: str) -> str:
    """The PHC string to store; salt and parameters are in it."""
    return _hasher.hash(password)


def verify(stored: str | None, password: str) -> bool:
    """Whether `password` is the one behind `stored`.

    Without a stored hash (an unknown login, a service) it takes the same time, and is wrong.
    """
    try:
        _hasher.verify(stored or _nobodys_hash(), password)
    except (VerificationError, InvalidHashError):
        return False
    return stored is not None


def needs_rehash(stored: str) -> bool:
    """Whether `stored` was made with other parameters than today's."""
    return _hasher.check_needs_rehash(stored)


def _problem(password: str, *, login: str, email: str) -> str | None:
    if len(password) < MIN_LENGTH:
        return said("Use at least 15 characters: a few words do well")
    if len(password) > MAX_LENGTH:
        return said("Use at most 128 characters")
    folded = password.casefold()
    if len(set(folded)) < MIN_DISTINCT or is_common(folded):
        return said("This password is among the first that would be guessed")
    if any(part in folded for part in _own_words(login, email)):
        return said("Leave your login and e-mail address out of the password")
    return None


def _own_words(login: str, email: str) -> set[str]:
    """What a password must not contain: login, address, and the address's name."""
    name = email.casefold().partition("@")[0]
    parts = {part for word in (login.casefold(), name) for part in re.split(r"[._-]", word)}
    whole = {login.casefold(), email.casefold(), name}
    return {word for word in whole | parts if len(word) >= MIN_TELLING_PART}


@lru_cache(maxsize=1)
def _nobodys_hash() -> str:
    return _hasher.hash(secrets.token_urlsafe(32))
