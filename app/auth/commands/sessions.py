"""Sessions: opened at sign-in, renewed at re-authentication, ended at once."""

from __future__ import annotations

from sqlalchemy.orm import Session

from app.auth import policies
from app.auth.rows import changed
from app.kernel import audit
from app.kernel.actor import Actor
from app.kernel.db import command, sql
from app.kernel.errors import Forbidden, NotFound, NotSignedIn
from app.kernel.opaque import new_secret, secret_hash

MAX_USER_AGENT_LENGTH = 300

# A session ends 14 days after sign-in, whatever happens (and after 12 idle hours: app.web).
INSERT_SESSION = sql("""
INSERT INTO sessions (id_hash, user_id, expires_at, ip, user_agent)
VALUES (:id_hash, :user_id, now() + interval '14 days', CAST(:ip AS inet), :user_agent)
""")
RENEW_SESSION = sql("""
UPDATE sessions SET id_hash = :new_hash, authenticated_at = now() WHERE id_hash = :old_hash
RETURNING user_id
""")
END_SESSION = sql("DELETE FROM sessions WHERE id_hash = :id_hash RETURNING user_id")
END_NUMBERED = sql("DELETE FROM sessions WHERE number = :number AND user_id = :user_id")
END_OTHERS = sql("DELETE FROM sessions WHERE user_id = :user_id AND number <> :keep")
REVOKE_TOKENS = sql(
    "UPDATE api_tokens SET revoked_at = now() WHERE user_id = :user_id AND revoked_at IS NULL"
)


@command
def open_session(session: Session, user_id: int, *, user_agent: str) -> str:
    """Open a session for a user who has just shown their password; returns its secret id."""
    session_id = new_secret()
    session.execute(
        INSERT_SESSION,
        {
            "id_hash": secret_hash(session_id),
            "user_id": user_id,
            "ip": audit.origin.get().ip,
            "user_agent": user_agent[:MAX_USER_AGENT_LENGTH],
        },
    )
    audit.record(session, "sign_in", actor_id=user_id, subject_id=user_id)
    return session_id


@command
def reauthenticate(session: Session, session_id: str) -> str:
    """Give a session whose owner has just shown the password again a new id; returns it."""
    new_id = new_secret()
    hashes = {"new_hash": secret_hash(new_id), "old_hash": secret_hash(session_id)}
    user_id = session.execute(RENEW_SESSION, hashes).scalar_one_or_none()
    if user_id is None:
        raise NotSignedIn
    audit.record(session, "reauthenticate", actor_id=user_id, subject_id=user_id)
    return new_id


@command
def sign_out(session: Session, session_id: str) -> None:
    """End a session; its cookie is worth nothing from now on."""
    hashed = {"id_hash": secret_hash(session_id)}
    user_id = session.execute(END_SESSION, hashed).scalar_one_or_none()
    if user_id is not None:
        audit.record(session, "sign_out", actor_id=user_id, subject_id=user_id)


@command
def end_session(session: Session, actor: Actor, *, number: int) -> None:
    """End one of one's own sessions. Raises NotFound for any other."""
    if not changed(session, END_NUMBERED, {"number": number, "user_id": actor.user_id}):
        raise NotFound
    audit.record(session, "end_session", actor_id=actor.user_id, subject_id=actor.user_id)


@command
def end_other_sessions(session: Session, actor: Actor, *, keep: int) -> int:
    """End one's own sessions but for the one numbered `keep`. Returns how many."""
    ended = changed(session, END_OTHERS, {"user_id": actor.user_id, "keep": keep})
    audit.record(session, "end_sessions", actor_id=actor.user_id, subject_id=actor.user_id)
    return ended


@command
def end_access_of(session: Session, actor: Actor | None, *, user_id: int) -> None:
    """End all sessions of a user and revoke all tokens, for administrators."""
    if not policies.may_manage(actor):
        raise Forbidden
    end_access(session, user_id, keep_session=None)
    actor_id = actor.user_id if actor else None
    audit.record(session, "end_access", actor_id=actor_id, subject_id=user_id)


def end_access(session: Session, user_id: int, *, keep_session: int | None) -> None:
    """End a user's sessions, but for one, and tokens, within a command."""
    session.execute(END_OTHERS, {"user_id": user_id, "keep": keep_session or 0})
    session.execute(REVOKE_TOKENS, {"user_id": user_id})
