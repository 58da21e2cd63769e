"""Passwords put to use: verified, throttled, changed."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.orm import Session

from app.auth import passwords, queries, throttle
from app.auth.commands.sessions import end_access, open_session
from app.kernel import audit
from app.kernel.actor import Actor
from app.kernel.db import command, in_transaction, sql
from app.kernel.errors import BadInput, NotSignedIn
from app.kernel.policy import Role

SET_HASH = sql("UPDATE users SET hash = :hash WHERE id = :id")


class WrongCredentials(NotSignedIn):
    """The login is unknown, or the password is wrong: the answer does not tell which."""

    title = "Wrong login or password"


@dataclass(frozen=True, slots=True)
class Verified:
    """Somebody who has just shown their password."""

    user_id: int
    login: str
    role: Role


def verify_credentials(*, login: str, password: str) -> Verified:
    """Check a password. Not for use inside a command: attempts are counted even when refused.

    Raises TooManyRequests, and WrongCredentials alike for an unknown login, a wrong password, a
    deactivated account and a service, in near-equal time.
    """
    throttle.allow(throttle.count_sign_in(login))
    user = in_transaction(lambda session: queries.credentials(session, login))
    known = user is not None and user.is_active
    right = passwords.verify(user.hash if user is not None and known else None, password)
    if user is None or not right:
        in_transaction(lambda session: _record_refusal(session, user.id if user else None))
        raise WrongCredentials
    in_transaction(lambda session: _remember_success(session, login))
    if user.hash is not None and passwords.needs_rehash(user.hash):
        _rehash(user.id, password)
    return Verified(user.id, user.login, Role(user.role))


def sign_in(*, login: str, password: str, user_agent: str) -> str:
    """Open a session for whoever this is; returns its secret id. Raises as verify_credentials."""
    verified = verify_credentials(login=login, password=password)
    return open_session(verified.user_id, user_agent=user_agent)


@command
def change_password(
    session: Session, actor: Actor, *, new_password: str, keep_session: int | None
) -> None:
    """Change one's own password; every other session and all tokens end at once.

    The caller has verified the present one. Raises BadInput when the new one is weak.
    """
    user = queries.credentials(session, actor.login)
    if user is None or user.hash is None:
        raise BadInput(fields={"new_password": "This account has no password"})
    set_password(session, user_id=actor.user_id, login=user.login, email=user.email,
                 password=new_password, field="new_password")  # fmt: skip
    end_access(session, actor.user_id, keep_session=keep_session)
    audit.record(session, "change_password", actor_id=actor.user_id, subject_id=actor.user_id)


def set_password(
    session: Session, *, user_id: int, login: str, email: str, password: str, field: str
) -> None:
    """Store a new password within a command. Raises BadInput for `field` when it is weak."""
    passwords.checked_password(password, login=login, email=email, field=field)
    session.execute(SET_HASH, {"id": user_id, "hash": passwords.hash_password(password)})


def _remember_success(session: Session, login: str) -> None:
    throttle.forgive_sign_in(session, login)


def _record_refusal(session: Session, user_id: int | None) -> None:
    # Not what was typed as the login: people type their password there.
    audit.record(session, "sign_in", actor_id=None, subject_id=user_id, result="refused")


@command
def _rehash(session: Session, user_id: int, password: str) -> None:
    session.execute(SET_HASH, {"id": user_id, "hash": passwords.hash_password(password)})
