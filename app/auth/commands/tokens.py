"""API tokens: shown once, stored hashed, limited in time and, if wanted, to some actions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from app.auth import policies
from app.auth.rows import changed
from app.kernel import audit
from app.kernel.actor import Actor
from app.kernel.db import command, sql
from app.kernel.errors import BadInput, Forbidden, NotFound
from app.kernel.opaque import new_secret, secret_hash
from app.kernel.policy import POLICY

PREFIX = "ates_"
MAX_DAYS = 365
MAX_NAME_LENGTH = 80

# Stores a token. One that is there already is the same request repeated: it is left as it is.
INSERT_TOKEN = sql("""
WITH added AS (
  INSERT INTO api_tokens (token_hash, user_id, name, scopes, expires_at)
  SELECT :token_hash, id, :name, CAST(:scopes AS text[]), now() + :lifetime
  FROM users WHERE id = :user_id AND is_active
  ON CONFLICT (token_hash) DO NOTHING
  RETURNING id, expires_at
)
SELECT id, expires_at, true AS is_new FROM added
UNION ALL
SELECT id, expires_at, false FROM api_tokens
WHERE token_hash = :token_hash AND user_id = :user_id
""")
REVOKE = sql("""
UPDATE api_tokens SET revoked_at = now()
WHERE id = :id AND user_id = :user_id AND revoked_at IS NULL
""")


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A token as its owner sees it this once."""

    id: int
    token: str
    expires_at: datetime


@command
def issue_token(
    session: Session,
    actor: Actor | None,
    *,
    user_id: int,
    name: str,
    lifetime: timedelta,
    scopes: Sequence[str] | None = None,
    secret: str | None = None,
) -> IssuedToken:
    """Make a token for oneself, or for anyone as an administrator.

    `scopes` are actions of the policy table; without them the token may do what its owner may.
    `secret` is given by a caller who can make the same one again. Raises Forbidden, NotFound for
    a user who is not there or not active, BadInput for a bad name, lifetime or scope.
    """
    if actor is not None and actor.user_id != user_id and not policies.may_manage(actor):
        raise Forbidden
    _check(name, lifetime, scopes)
    token = PREFIX + (secret or new_secret())
    values = {
        "token_hash": secret_hash(token),
        "user_id": user_id,
        "name": name,
        "scopes": list(scopes) if scopes is not None else None,
        "lifetime": lifetime,
    }
    row = session.execute(INSERT_TOKEN, values).one_or_none()
    if row is None:
        raise NotFound("There is no such active user")
    if row.is_new:
        actor_id = actor.user_id if actor else None
        details = {"token_id": row.id, "name": name}
        audit.record(session, "issue_token", actor_id=actor_id, subject_id=user_id, details=details)
    return IssuedToken(row.id, token, row.expires_at)


@command
def revoke_token(session: Session, actor: Actor | None, *, user_id: int, token_id: int) -> None:
    """Revoke a token of one's own, or of `user_id` as an administrator; it ends at once.

    Raises Forbidden, and NotFound when there is no such live token.
    """
    if actor is not None and actor.user_id != user_id and not policies.may_manage(actor):
        raise Forbidden
    if not changed(session, REVOKE, {"id": token_id, "user_id": user_id}):
        raise NotFound
    actor_id = actor.user_id if actor else None
    details = {"token_id": token_id}
    audit.record(session, "revoke_token", actor_id=actor_id, subject_id=user_id, details=details)


def _check(name: str, lifetime: timedelta, scopes: Sequence[str] | None) -> None:
    problems = {}
    if not 1 <= len(name) <= MAX_NAME_LENGTH or not name.isprintable():
        problems["name"] = "Use 1 to 80 characters"
    if not timedelta(0) < lifetime <= timedelta(days=MAX_DAYS):
        problems["days"] = "A token lives for 1 to 365 days"
    if scopes is not None and (not scopes or not set(scopes) <= POLICY.keys()):
        problems["scopes"] = "There is no such action"
    if problems:
        raise BadInput(fields=problems)
