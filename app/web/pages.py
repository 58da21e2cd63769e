"""Pages of no context's own: the way home, language and theme, health."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import Blueprint, Response, make_response, redirect, request, url_for
from sqlalchemy.orm import Session

from app.kernel.db import db, in_transaction, sql
from app.web import stopped
from app.web.access import public
from app.web.context import navigation
from app.web.health import readiness, warnings
from app.web.language import LANGUAGE_COOKIE, LANGUAGES, THEME_COOKIE, THEMES, remember
from app.web.sessions import SignedIn, signed_in

blueprint = Blueprint("web", __name__)
# Home is the first of these that the role may open.
FIRST_PAGES = ("accounting.report", "analytics.index", "tasks.all", "tasks.mine")
CHOICES = {"lang": (LANGUAGE_COOKIE, LANGUAGES), "theme": (THEME_COOKIE, (*THEMES, "system"))}

# A person's own choice of language and theme; NULL leaves it as it is, `system` clears it.
PREFER = sql("""
UPDATE users SET locale = coalesce(:lang, locale),
                 theme = nullif(coalesce(:theme, theme), 'system')
WHERE id = :user_id
""")


@blueprint.get("/")
@public
def home() -> Response:
    """The page that matters most to the person's role; the sign-in page for nobody."""
    user = signed_in()
    if user is None:
        return make_response(redirect(url_for("auth.sign_in")))
    shown = {link.endpoint for link in navigation()}
    first = next((endpoint for endpoint in FIRST_PAGES if endpoint in shown), "auth.settings")
    return make_response(redirect(url_for(first)))


@blueprint.post("/preferences")
@public
def preferences() -> Response:
    """Keep the language or the theme that was chosen, here and in the person's settings."""
    chosen = {
        field: request.form[field]
        for field, (_, allowed) in CHOICES.items()
        if request.form.get(field) in allowed
    }
    user = signed_in()
    if user is not None and chosen:
        _remember(user, chosen)
    response = make_response(redirect(local_url(request.form.get("next")), code=303))
    for field, value in chosen.items():
        remember(response, CHOICES[field][0], value)
    return response


@blueprint.get("/healthz")
@public
def healthz() -> Response:
    """Whether this process answers; asks nobody else."""
    return make_response({"status": "ok"})


@blueprint.get("/readyz")
@public
def readyz() -> Response:
    """Whether the database can be reached and is migrated: 200, else 503 with the reasons.

    During an emergency stop it is ready, for reading; the incident is named. A guardian that
    makes no rounds is a warning: the requests can be answered.
    """
    reasons = readiness(db.session)
    stop = None if reasons else stopped.shown()
    status = {
        "status": "unavailable" if reasons else "ok",
        "reasons": reasons,
        "warnings": [] if reasons else warnings(db.session),
        "stopped": stop.incident if stop else None,
    }
    return make_response(status, 503 if reasons else 200)


def local_url(url: str | None) -> str:
    """`url` when it is a path of ours, else the way home: never another site."""
    home_url = url_for("web.home")
    if not url or not url.startswith("/") or not url.isprintable() or "\\" in url:
        return home_url
    parts = urlsplit(url)
    return home_url if parts.scheme or parts.netloc or url.startswith("//") else url


def _remember(user: SignedIn, chosen: dict[str, str]) -> None:
    values = {"lang": chosen.get("lang"), "theme": chosen.get("theme"), "user_id": user.id}

    def write(session: Session) -> None:
        session.execute(PREFER, values)

    in_transaction(write)
