"""Reads of the context: people, their sessions and tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row
from sqlalchemy.orm import Session

from app.kernel.db import sql
from app.kernel.like import like_literal
from app.kernel.opaque import secret_hash

PAGE = 50

CREDENTIALS = sql("""
SELECT id, login, email, role, hash, is_active FROM users WHERE lower(login) = lower(:login)
""")
_PEOPLE = """
SELECT u.id, u.login, u.email, u.role::text AS role, u.is_active, u.is_assignable, u.created_at,
       s.sessions, s.last_seen_at, t.tokens,
       (SELECT count(*) FROM tasks WHERE assigned_to = u.id AND NOT is_finished) AS open_tasks
FROM users u
CROSS JOIN LATERAL (SELECT count(*) AS sessions, max(last_seen_at) AS last_seen_at
                    FROM sessions WHERE user_id = u.id AND expires_at > now()) s
CROSS JOIN LATERAL (SELECT count(*) AS tokens FROM api_tokens
                    WHERE user_id = u.id AND revoked_at IS NULL AND expires_at > now()) t
"""
# One page of people by login, from after a login on; `pattern` is for LIKE, NULL is everyone.
PEOPLE = sql(f"""{_PEOPLE}
WHERE lower(u.login) > :after
  AND (CAST(:pattern AS text) IS NULL
       OR lower(u.login) LIKE :pattern OR lower(u.email) LIKE :pattern)
ORDER BY lower(u.login) LIMIT :count
""")
PERSON = sql(f"{_PEOPLE} WHERE u.id = :id")
NUMBER_OF_PEOPLE = sql("""
SELECT count(*) FROM users
WHERE CAST(:pattern AS text) IS NULL OR lower(login) LIKE :pattern OR lower(email) LIKE :pattern
""")
SESSIONS = sql("""
SELECT number, created_at, last_seen_at, expires_at, host(ip) AS ip, user_agent FROM sessions
WHERE user_id = :user_id AND expires_at > now() AND last_seen_at > now() - interval '12 hours'
ORDER BY last_seen_at DESC LIMIT 100
""")
TOKENS = sql("""
SELECT id, name, scopes, created_at, expires_at, last_used_at FROM api_tokens
WHERE user_id = :user_id AND revoked_at IS NULL AND expires_at > now()
ORDER BY created_at DESC LIMIT 100
""")
INVITATION = sql("""
SELECT i.purpose, u.login FROM invitations i LEFT JOIN users u ON u.id = i.user_id
WHERE i.token_hash = :token_hash AND i.used_at IS NULL AND i.expires_at > now()
""")
DIGEST = sql("SELECT digest FROM users WHERE id = :user_id")
USER_ID = sql("SELECT id FROM users WHERE lower(login) = lower(:login)")


def credentials(session: Session, login: str) -> Row[Any] | None:
    """The user of that login, with the password's hash: id, login, email, role, hash, is_active."""
    return session.execute(CREDENTIALS, {"login": login}).one_or_none()


def people(
    session: Session, *, after: str = "", search: str | None = None
) -> tuple[Sequence[Row[Any]], str | None]:
    """A page of people by login, and the login to go on after (None on the last page)."""
    values = {"after": after.lower(), "pattern": _pattern(search), "count": PAGE + 1}
    rows = session.execute(PEOPLE, values).all()
    return rows[:PAGE], rows[PAGE - 1].login if len(rows) > PAGE else None


def person(session: Session, user_id: int) -> Row[Any] | None:
    """One person, as in `people`."""
    return session.execute(PERSON, {"id": user_id}).one_or_none()


def number_of_people(session: Session, search: str | None = None) -> int:
    """How many people there are, or match the search."""
    count: int = session.execute(NUMBER_OF_PEOPLE, {"pattern": _pattern(search)}).scalar_one()
    return count


def sessions_of(session: Session, user_id: int) -> Sequence[Row[Any]]:
    """A user's live sessions, the last used first."""
    return session.execute(SESSIONS, {"user_id": user_id}).all()


def tokens_of(session: Session, user_id: int) -> Sequence[Row[Any]]:
    """A user's live tokens, the newest first; never the secrets, which nobody has."""
    return session.execute(TOKENS, {"user_id": user_id}).all()


def invitation(session: Session, token: str) -> Row[Any] | None:
    """What a one-time link is for: purpose, and whose password (login); None when it has ended."""
    return session.execute(INVITATION, {"token_hash": secret_hash(token)}).one_or_none()


def user_id_of(session: Session, login: str) -> int | None:
    """The id of the user of that login."""
    user_id: int | None = session.execute(USER_ID, {"login": login}).scalar_one_or_none()
    return user_id


def _pattern(search: str | None) -> str | None:
    if not search:
        return None
    return f"%{like_literal(search.lower())}%"


def digest_of(session: Session, user_id: int) -> str:
    """Whether somebody gets a digest by mail: `off` or `daily`."""
    digest: str = session.execute(DIGEST, {"user_id": user_id}).scalar_one()
    return digest
