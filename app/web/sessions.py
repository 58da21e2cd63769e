"""Who is signed in: a row of `sessions` for pages, a row of `api_tokens` for the API.

The browser's signed cookie carries only the opaque id of a session; the row is the authority, so
that ending it takes effect at the next request. Pages take no tokens, the API takes no cookies.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from flask import Flask, Request, Response, g, request, session
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface, SessionMixin
from flask_login import AnonymousUserMixin, LoginManager
from flask_login import current_user as login_user
from sqlalchemy import TextClause
from sqlalchemy.exc import DBAPIError

from app.kernel.actor import Actor
from app.kernel.db import db, in_transaction, sql
from app.kernel.direct import first_row
from app.kernel.opaque import secret_hash
from app.kernel.policy import Role
from app.kernel.unread import unread_sql

API_PREFIX = "/api/"
API_PAGES = frozenset({"/api/docs"})
# flask-login's name for what get_id() returns.
_SESSION_KEY = "_user_id"
_BEARER = re.compile(r"Bearer ([A-Za-z0-9_-]{20,200})")

# The person of a session that was seen in the last 12 hours and has not reached its end. Fresh:
# the password was given in the last 10 minutes. Stale: its last_seen_at is to be moved.
SESSION_USER = sql(f"""
SELECT u.id, u.login, u.role, u.locale, u.theme, u.time_zone, u.shortcuts,
       s.last_seen_at < now() - interval '1 minute' AS is_stale, s.number,
       s.authenticated_at > now() - interval '10 minutes' AS is_fresh,
       {unread_sql("u.id")} AS unread
FROM sessions s JOIN users u ON u.id = s.user_id
WHERE s.id_hash = :id_hash AND s.expires_at > now()
  AND s.last_seen_at > now() - interval '12 hours'
  AND u.is_active AND u.role <> 'internalservice'
""")
# The owner of an API token that is neither revoked nor expired.
TOKEN_USER = sql("""
SELECT u.id, u.login, u.role, u.locale, u.theme, u.time_zone, u.shortcuts,
       t.last_used_at IS NULL OR t.last_used_at < now() - interval '1 minute' AS is_stale,
       t.id, t.scopes
FROM api_tokens t JOIN users u ON u.id = t.user_id
WHERE t.token_hash = :id_hash AND t.revoked_at IS NULL AND t.expires_at > now() AND u.is_active
""")
# Say that a session is in use: once a minute, and never waiting for who says the same.
TOUCH_SESSION = sql("""
UPDATE sessions SET last_seen_at = now() WHERE id_hash = (
  SELECT id_hash FROM sessions WHERE id_hash = :id_hash
    AND last_seen_at < now() - interval '1 minute' FOR UPDATE SKIP LOCKED)
""")
TOUCH_TOKEN = sql("""
UPDATE api_tokens SET last_used_at = now() WHERE id = (
  SELECT id FROM api_tokens WHERE token_hash = :id_hash
    AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')
  FOR UPDATE SKIP LOCKED)
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """A signed-in user, as flask-login and the templates see them."""

    id: int
    login: str
    role: Role
    locale: str | None
    theme: str | None
    time_zone: str | None
    shortcuts: bool = True
    unread: int = 0
    session_id: str | None = None
    session_number: int | None = None
    is_fresh: bool = False
    token_id: int | None = None
    scopes: frozenset[str] | None = None

    is_authenticated = True
    is_active = True
    is_anonymous = False

    @property
    def actor(self) -> Actor:
        """The user as commands and queries see them."""
        return Actor(self.id, self.login, self.role)

    def may(self, action: str) -> bool:
        """Whether the role, and the token if one was used, allow `action`."""
        return self.actor.may(action) and (self.scopes is None or action in self.scopes)

    def get_id(self) -> str | None:
        """The opaque id of the session (flask-login's name)."""
        return self.session_id


class PageCookies(SecureCookieSessionInterface):
    """Flask's signed cookie, for pages alone: the API neither reads nor sets it."""

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """The cookie's content; nothing under the API."""
        return self.session_class() if is_api() else super().open_session(app, request)

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Set the cookie when its content changed; never under the API."""
        if not is_api():
            super().save_session(app, session, response)


def init_app(app: Flask) -> None:
    """Tell flask-login how to find the user of a request."""
    manager = LoginManager()
    manager.session_protection = None  # the row decides, not a hash of the address
    manager.user_loader(_by_session)
    manager.init_app(app)


def is_api() -> bool:
    """Whether the request is for the REST API: tokens count, cookies do not."""
    path = request.path
    return path.startswith(API_PREFIX) and path not in API_PAGES


def signed_in() -> SignedIn | None:
    """The user of this request, or None. The first call asks the database, in one statement."""
    user: SignedIn | AnonymousUserMixin | None = g.get("_login_user")
    if user is None and is_api():
        # Not through flask-login, which would read the cookie first.
        user = g._login_user = _by_token(request) or AnonymousUserMixin()  # noqa: SLF001 - its cache
    elif user is None:
        user = login_user._get_current_object()  # noqa: SLF001 - the documented way through a LocalProxy
    return user if isinstance(user, SignedIn) else None


def begin(session_id: str) -> None:
    """Put the id of a new session into the cookie; nothing of the old cookie is kept."""
    session.clear()
    session[_SESSION_KEY] = session_id
    session.permanent = True
    g.pop("_login_user", None)
    g.pop("csrf_token", None)


def forget() -> None:
    """Empty the cookie. The row in `sessions` is ended by a command."""
    session.clear()
    g.pop("csrf_token", None)
    be_nobody()


def look_again() -> None:
    """Ask the database anew at the next question: the person of this request has just changed."""
    g.pop("_login_user", None)


def be_nobody() -> None:
    """Answer this request as if nobody were signed in, without asking the database."""
    g._login_user = AnonymousUserMixin()  # noqa: SLF001 - flask-login's cache


def _by_session(session_id: str) -> SignedIn | None:
    found = _load(SESSION_USER, TOUCH_SESSION, session_id)
    if found is None:
        return None
    who, (number, is_fresh, unread) = found
    return SignedIn(
        **who,
        session_id=session_id,
        session_number=number,
        is_fresh=is_fresh,
        unread=unread,
    )


def _by_token(asked: Request) -> SignedIn | None:
    bearer = _BEARER.fullmatch(asked.headers.get("Authorization", ""))
    found = _load(TOKEN_USER, TOUCH_TOKEN, bearer[1]) if bearer else None
    if found is None:
        return None
    who, (token_id, scopes) = found
    limits = None if scopes is None else frozenset(scopes)
    return SignedIn(**who, token_id=token_id, scopes=limits)


def _first_row(query: TextClause, key: dict[str, bytes]) -> tuple[Any, ...] | None:
    session = db.session()
    try:
        return first_row(session, query, key)
    except DBAPIError as error:
        if not error.connection_invalidated:
            raise
    # A connection that was lost while it lay in the pool: nothing was done with it yet.
    session.rollback()
    return first_row(session, query, key)


def _load(
    query: TextClause, touch: TextClause, secret: str
) -> tuple[dict[str, Any], list[Any]] | None:
    """Who it is, and the columns that only `query` has."""
    key = {"id_hash": secret_hash(secret)}
    row = _first_row(query, key)
    if row is None:
        return None
    user_id, login, role, locale, theme, time_zone, shortcuts, is_stale, *own = row
    if is_stale:
        in_transaction(lambda session: session.execute(touch, key))
    who = {
        "id": user_id,
        "login": login,
        "role": Role(role),
        "locale": locale,
        "theme": theme,
        "time_zone": time_zone,
        "shortcuts": shortcuts,
    }
    return who, own
