"""What was typed is not lost: given back when it is refused, kept by app.js until it was taken.

A form whose text matters names its draft, `tokens(draft='task')`. app.js keeps what is typed there
for this person and tab; an answer that took it says so in a cookie, and the draft goes. Without
scripts an error page gives the text back in a form that sends it again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from flask import Flask, Response, current_app, g, request
from flask_babel import LazyString, lazy_gettext

from app.kernel.settings import Settings

FIELD = "draft"
COOKIE = "draft-taken"
COOKIE_AGE_S = 60
_REFUSED = 400
_NAME = re.compile(r"[a-z0-9-]{1,60}")
# What people type themselves; every other field of a form was put there by the page.
TYPED: Mapping[str, LazyString] = {
    "name": lazy_gettext("Name"),
    "description": lazy_gettext("Description"),
    "reason": lazy_gettext("Reason"),
    "login": lazy_gettext("Login"),
    "email": lazy_gettext("E-mail"),
    "token_name": lazy_gettext("What it is for"),
}
# Never given back: asked for anew.
SECRET: Mapping[str, LazyString] = {
    "password": lazy_gettext("Password"),
    "own_password": lazy_gettext("Your own password"),
    "current_password": lazy_gettext("Current password"),
    "new_password": lazy_gettext("New password"),
}
_MADE_ANEW = frozenset({"csrf_token"})


@dataclass(frozen=True, slots=True)
class Again:
    """A form that was refused, to be sent again: each field as (name, label, value)."""

    url: str
    typed: list[tuple[str, LazyString, str]]
    secret: list[tuple[str, LazyString]]
    hidden: list[tuple[str, str]]


def init_app(app: Flask) -> None:
    """Say of each form of `app` that was taken that its draft can go."""
    app.after_request(_say_what_was_taken)


def again() -> Again | None:
    """The form of this request, if a person typed something into it on a page of ours."""
    if request.method != "POST" or request.files or not _is_from_here():
        return None
    sent = [(name, value) for name, value in request.form.items() if name not in _MADE_ANEW]
    typed = [(name, TYPED[name], value) for name, value in sent if name in TYPED and value]
    if not typed:
        return None
    return Again(
        url=request.full_path.rstrip("?"),
        typed=typed,
        secret=[(name, SECRET[name]) for name, _ in sent if name in SECRET],
        hidden=[(name, value) for name, value in sent if name not in {*TYPED, *SECRET}],
    )


def refused() -> None:
    """The answer to this request looks like any other, and yet took nothing."""
    g.draft_refused = True


def came_from() -> str | None:
    """The address on this site of the page that the request came from."""
    url = urlsplit(request.headers.get("HX-Current-URL") or request.referrer or "")
    if url.netloc != request.host:
        return None
    return f"{url.path}?{url.query}" if url.query else url.path


def _is_from_here() -> bool:
    """Whether the browser says that a page of this very site sent the form: no other writes it."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site == "same-origin"
    return urlsplit(request.headers.get("Origin") or request.referrer or "").netloc == request.host


def _say_what_was_taken(response: Response) -> Response:
    if request.method != "POST" or response.status_code >= _REFUSED or "draft_refused" in g:
        return response
    draft = request.form.get(FIELD, "")
    if _NAME.fullmatch(draft):
        settings: Settings = current_app.config["SETTINGS"]
        response.set_cookie(
            COOKIE, draft, max_age=COOKIE_AGE_S, secure=settings.cookie_secure, samesite="Lax"
        )
    return response
