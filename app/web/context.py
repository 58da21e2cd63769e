"""The names that every template may use."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from flask import Flask, current_app, g, request, url_for
from flask_babel import LazyString, lazy_gettext
from markupsafe import Markup

from app.kernel.settings import Settings
from app.web import joined, stopped
from app.web.access import refused_to_all_but
from app.web.language import language, theme
from app.web.sessions import signed_in

HASH_LENGTH = 12


@dataclass(frozen=True, slots=True)
class Entry:
    """A page of the main navigation, for those whose role may do `action`."""

    endpoint: str
    label: LazyString
    action: str


# In the order shown. A page that is not registered is left out.
NAVIGATION = (
    Entry("tasks.mine", lazy_gettext("My tasks"), "see_own_tasks"),
    Entry("tasks.all", lazy_gettext("All tasks"), "see_all_tasks"),
    Entry("accounting.mine", lazy_gettext("My account"), "see_own_account"),
    Entry("accounting.report", lazy_gettext("Report"), "see_all_transfers"),
    Entry("payments.mails", lazy_gettext("Mail"), "see_all_transfers"),
    Entry("analytics.index", lazy_gettext("Analytics"), "see_analytics"),
    Entry("auth.people", lazy_gettext("People"), "manage_people"),
    Entry("guardian.health", lazy_gettext("Health"), "see_system"),
    Entry("payments.mailbox", lazy_gettext("Mail folder"), "read_mail_folder"),
)
STORY_UNDER = ("tasks.all", "accounting.report", "tasks.mine")


def init_app(app: Flask) -> None:
    """Give the templates of `app` their names."""
    app.context_processor(_names)
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True


def navigation() -> list[dict[str, Any]]:
    """The pages that the signed-in user may open: url, label, and aria-current's word if any."""
    user = signed_in()
    if user is None:
        return []
    views = current_app.view_functions
    shown = [entry for entry in NAVIGATION if entry.endpoint in views and user.may(entry.action)]
    here = _section(shown)
    return [
        {
            "endpoint": entry.endpoint,
            "url": url_for(entry.endpoint),
            "label": entry.label,
            "current": "page" if request.endpoint == entry.endpoint else entry is here and "true",
        }
        for entry in shown
    ]


def _section(shown: list[Entry]) -> Entry | None:
    """The entry that a page without one of its own is found under: the last of its context.

    A task's story is found where its reader finds tasks: on the board, in the report, or among
    their own.
    """
    has_own = any(entry.endpoint == request.endpoint for entry in shown)
    if has_own or (request.blueprint == "auth" and request.endpoint != "auth.person"):
        return None
    if request.endpoint == "tasks.story":
        found = (entry for name in STORY_UNDER for entry in shown if entry.endpoint == name)
        return next(found, None)
    own = [entry for entry in shown if entry.endpoint.partition(".")[0] == request.blueprint]
    return own[-1] if own else None


def asset(filename: str) -> str:
    """The address of a file in static/, with its content's hash, so that it may be kept."""
    path = Path(current_app.static_folder or "", filename)
    return url_for("static", filename=filename, v=_content_hash(path))


def idempotency_key() -> str:
    """A new key for a form that must have one effect however often it is sent."""
    return uuid.uuid4().hex


def shortcut(key: str) -> Markup:
    """The attributes of what `key` presses or goes to; none for those who use no shortcuts."""
    user = signed_in()
    if user is None or not user.shortcuts:
        return Markup("")
    return Markup(' data-key="{key}" aria-keyshortcuts="{key}"').format(key=key)


def search_url() -> str | None:
    """Where the signed-in person searches tasks: all of them, or their own."""
    user = signed_in()
    if user is None:
        return None
    return url_for("tasks.all" if user.may("see_all_tasks") else "tasks.mine")


def _names() -> dict[str, Any]:
    settings: Settings = current_app.config["SETTINGS"]
    return {
        "lang": language(),
        "theme": theme(),
        "nav": navigation(),
        "request_id": g.get("request_id"),
        "demo": settings.demo,
        "stopped": stopped.shown(),
        "asset": asset,
        "idempotency_key": idempotency_key,
        "shortcut": shortcut,
        "search_url": search_url(),
        "refused_to_all_but": refused_to_all_but,
    }


@lru_cache(maxsize=256)
def _content_hash(path: Path) -> str | None:
    if path.name in joined.FILES:
        content = joined.joined(path.parent, path.name)
    elif path.is_file():
        content = path.read_bytes()
    else:
        return None
    return hashlib.sha256(content).hexdigest()[:HASH_LENGTH]
