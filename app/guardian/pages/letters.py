"""Dead letters: grouped by their kind, each with its payload and cause; retry or discard."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from flask import Response, flash, request, url_for
from flask_babel import ngettext

from app.guardian import commands, queries
from app.guardian.pages.blueprint import blueprint
from app.kernel.db import db
from app.kernel.errors import BadInput
from app.web.access import current_actor, requires
from app.web.forms import Form
from app.web.htmx import go_to, page


@blueprint.get("/dead-letters")
@requires("see_system")
def dead_letters() -> Response:
    """What is parked, by kind, and what was settled lately."""
    return _page(Form())


@blueprint.post("/dead-letters/retry")
@requires("settle_dead_letters")
def retry() -> Response:
    """Deliver the letters of one kind again."""
    taken, failed = commands.retry_letters(current_actor(), **_kind())
    if taken:
        flash(ngettext("One event was delivered.", "%(num)s events were delivered.", taken))
    if failed:
        text = ngettext("One event failed again.", "%(num)s events failed again.", failed)
        flash(text, "warning")
    return go_to(url_for("guardian.dead_letters"))


@blueprint.post("/dead-letters/discard")
@requires("settle_dead_letters")
def discard() -> Response:
    """Give the letters of one kind up, with a reason."""
    form = Form.sent("reason")
    try:
        given_up = commands.discard_letters(current_actor(), **_kind(), reason=form["reason"])
    except BadInput as error:
        return _page(form.refuse(error), error.status)
    flash(ngettext("One event was given up.", "%(num)s events were given up.", given_up))
    return go_to(url_for("guardian.dead_letters"))


def _kind() -> dict[str, str]:
    return {name: request.form.get(name, "")[:80] for name in ("consumer", "fingerprint")}


def _page(form: Form, status: int = 200) -> Response:
    session: Any = db.session()
    return page(
        "guardian/dead_letters.html",
        None,
        status,
        groups=_groups(queries.letters(session, parked=True)),
        settled=queries.letters(session, parked=False),
        form=form,
    )


def _groups(letters: Sequence[Any]) -> list[dict[str, Any]]:
    """Letters of one kind together, the largest group first."""

    def kind(letter: Any) -> tuple[str, str]:
        return letter.consumer, letter.fingerprint

    groups = [list(group) for _, group in groupby(sorted(letters, key=kind), key=kind)]
    return [
        {
            "consumer": group[0].consumer,
            "fingerprint": group[0].fingerprint,
            "type": group[0].type,
            "cause": group[0].cause,
            "first_at": min(letter.parked_at for letter in group),
            "letters": group,
        }
        for group in sorted(groups, key=len, reverse=True)
    ]
