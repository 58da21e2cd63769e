"""One-time links: to become the first administrator, and to choose a new password."""

from __future__ import annotations

from sqlalchemy.orm import Session

from app.auth import policies, queries
from app.auth.commands.accounts import create_user
from app.auth.commands.credentials import set_password
from app.auth.commands.sessions import end_access
from app.kernel import audit
from app.kernel.actor import Actor
from app.kernel.db import command, sql
from app.kernel.errors import Conflict, Forbidden, NotFound
from app.kernel.opaque import new_secret, secret_hash
from app.kernel.policy import Role

# A link for the first administrator lives a day, one for a new password an hour.
INVITE = sql("""
INSERT INTO invitations (token_hash, purpose, user_id, expires_at)
VALUES (:token_hash, :purpose, :user_id,
        now() + CASE :purpose WHEN 'password_reset' THEN interval '1 hour'
                              ELSE interval '1 day' END)
""")
# Older links for the same end with the new one.
WITHDRAW = sql("""
UPDATE invitations SET used_at = now()
WHERE purpose = :purpose AND user_id IS NOT DISTINCT FROM :user_id AND used_at IS NULL
""")
# Takes a link: of two who come at once, one finds it used.
USE = sql("""
UPDATE invitations SET used_at = now()
WHERE token_hash = :token_hash AND purpose = :purpose AND used_at IS NULL AND expires_at > now()
RETURNING user_id
""")
# Two first administrators at once: the second waits, and then is not the first.
LOCK_ROSTER = sql("SELECT pg_advisory_xact_lock(2)")
ANY_ADMINISTRATOR = sql(
    "SELECT EXISTS (SELECT FROM users WHERE role = 'administrator' AND is_active)"
)


@command
def invite_first_administrator(session: Session) -> str:
    """Make a link's token with which one person becomes the first administrator, within a day.

    Raises Conflict when there is an administrator.
    """
    _no_administrator(session)
    return _invite(session, "first_administrator", None)


@command
def invite_to_reset_password(session: Session, actor: Actor | None, *, user_id: int) -> str:
    """Make a link's token with which a person chooses a new password within an hour.

    Raises Forbidden, NotFound for a user who is not there, not active, or a service.
    """
    if not policies.may_manage(actor):
        raise Forbidden
    user = queries.person(session, user_id)
    if user is None or not user.is_active or user.role == Role.INTERNALSERVICE:
        raise NotFound
    actor_id = actor.user_id if actor else None
    audit.record(session, "invite_to_reset_password", actor_id=actor_id, subject_id=user_id)
    return _invite(session, "password_reset", user_id)


@command
def accept_first_administrator(
    session: Session, token: str, *, login: str, email: str, password: str
) -> int:
    """Become the first administrator. Returns the new user's id.

    Raises NotFound for a link that was used or has ended, Conflict when there is an administrator,
    BadInput as create_user does.
    """
    session.execute(LOCK_ROSTER)
    _use(session, token, "first_administrator")
    _no_administrator(session)
    return create_user(None, login=login, email=email, role=Role.ADMINISTRATOR, password=password)


@command
def accept_password_reset(session: Session, token: str, *, password: str) -> int:
    """Choose a new password; all sessions and tokens end. Returns the user's id.

    Raises NotFound for a link that was used or has ended, BadInput for a weak password.
    """
    user_id = _use(session, token, "password_reset")
    user = queries.person(session, user_id) if user_id is not None else None
    if user_id is None or user is None or not user.is_active:
        raise NotFound
    set_password(
        session,
        user_id=user_id,
        login=user.login,
        email=user.email,
        password=password,
        field="password",
    )
    end_access(session, user_id, keep_session=None)
    audit.record(session, "reset_password", actor_id=user_id, subject_id=user_id)
    return user_id


def _invite(session: Session, purpose: str, user_id: int | None) -> str:
    token = new_secret()
    values = {"purpose": purpose, "user_id": user_id}
    session.execute(WITHDRAW, values)
    session.execute(INVITE, {**values, "token_hash": secret_hash(token)})
    return token


def _use(session: Session, token: str, purpose: str) -> int | None:
    """Take a link; whose it is (None: nobody's yet)."""
    values = {"token_hash": secret_hash(token), "purpose": purpose}
    row = session.execute(USE, values).one_or_none()
    if row is None:
        raise NotFound("This link was used already, or its time is over: ask for a new one")
    user_id: int | None = row.user_id
    return user_id


def _no_administrator(session: Session) -> None:
    if session.execute(ANY_ADMINISTRATOR).scalar_one():
        raise Conflict("There is an administrator already")
