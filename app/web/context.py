"""The names that every template may use."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from flask import Flask, current_app, g, request, url_for
from markupsafe import Markup

from app.kernel.messages import said
from app.kernel.policy import ASSIGNABLE, Role
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
    label: str
    action: str


class Link(NamedTuple):
    """An entry of the navigation as a page shows it; current: aria-current's word, if any."""

    endpoint: str
    label: str
    current: str


class Reader(NamedTuple):
    """Who reads a page, as far as the frame around it is theirs.

    search_url: where they search tasks: all of them, or their own.
    """

    id: int
    login: str
    role: Role
    shortcuts: bool
    sees_all_tasks: bool
    search_url: str


# In the order shown. A page that is not registered is left out.
NAVIGATION = (
    Entry("tasks.mine", said("My tasks"), "see_own_tasks"),
    Entry("tasks.all", said("All tasks"), "see_all_tasks"),
    Entry("accounting.mine", said("My account"), "see_own_account"),
    Entry("accounting.report", said("Report"), "see_all_transfers"),
    Entry("payments.mails", said("Mail"), "see_all_transfers"),
    Entry("analytics.index", said("Analytics"), "see_analytics"),
    Entry("auth.people", said("People"), "manage_people"),
    Entry("guardian.health", said("Health"), "see_system"),
    Entry("payments.mailbox", said("Mail folder"), "read_mail_folder"),
)
# What one has only if tasks can be assigned to one.
OWN = ("see_own_tasks", "see_own_account")
# Pages that different roles find under different entries: the first that the reader has.
UNDER = {
    "tasks.story": ("tasks.all", "accounting.report", "tasks.mine"),
    "accounting.corrections": ("accounting.report", "analytics.index"),
}


def init_app(app: Flask) -> None:
    """Give the templates of `app` their names."""
    app.context_processor(_names)
    app.jinja_env.globals["asset"] = asset
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True


def navigation() -> tuple[Link, ...]:
    """The pages that the signed-in user may open; one's own come first where they hold anything."""
    user = signed_in()
    if user is None:
        return ()
    views = current_app.view_functions
    shown = [entry for entry in NAVIGATION if entry.endpoint in views and user.may(entry.action)]
    here = _section(shown)
    if user.role not in ASSIGNABLE:
        shown.sort(key=lambda entry: entry.action in OWN)

    def word(entry: Entry) -> str:
        if request.endpoint == entry.endpoint:
            return "page"
        return "true" if entry is here else ""

    return tuple(Link(entry.endpoint, entry.label, word(entry)) for entry in shown)


def _section(shown: list[Entry]) -> Entry | None:
    """The entry that a page without one of its own is found under: the last of its context.

    A task's story is found where its reader finds tasks: on the board, in the report, or among
    their own; corrections where they find figures.
    """
    has_own = any(entry.endpoint == request.endpoint for entry in shown)
    if has_own or (request.blueprint == "auth" and request.endpoint != "auth.person"):
        return None
    if request.endpoint in UNDER:
        names = UNDER[request.endpoint]
        found = (entry for name in names for entry in shown if entry.endpoint == name)
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


def _reader() -> Reader | None:
    user = signed_in()
    if user is None:
        return None
    sees_all_tasks = user.may("see_all_tasks")
    search_url = url_for("tasks.all" if sees_all_tasks else "tasks.mine")
    return Reader(user.id, user.login, user.role, user.shortcuts, sees_all_tasks, search_url)


def _names() -> dict[str, Any]:
    settings: Settings = current_app.config["SETTINGS"]
    reader = _reader()
    return {
        "lang": language(),
        "theme": theme(),
        "nav": navigation(),
        "request_id": g.get("request_id"),
        "demo": settings.demo,
        "stopped": stopped.shown(),
        "idempotency_key": idempotency_key,
        "shortcut": shortcut,
        "reader": reader,
        "sees_all_tasks": reader is not None and reader.sees_all_tasks,
        "search_url": reader and reader.search_url,
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
