"""A transfer and what it can be traced to; asking for its reversal, and deciding on it."""

from __future__ import annotations

from typing import Any

from flask import Response, flash, request, url_for
from flask_babel import gettext

from app.accounting import commands, queries
from app.accounting.pages import blueprint
from app.accounting.pages.period import arguments
from app.accounting.pages.report import person_url
from app.accounting.queries import LedgerFilter, Period
from app.kernel.db import db
from app.kernel.errors import AtesError, BadInput, Conflict, Forbidden
from app.web import htmx
from app.web.access import current_actor, requires
from app.web.forms import Form
from app.web.idempotency import idempotent
from app.web.language import translated


@blueprint.get("/transfers/<int:transfer_id>")
@requires("see_all_transfers")
def transfer(transfer_id: int) -> Response:
    """One transfer: its accounts, its task, its event, and what undid it."""
    return _transfer_page(transfer_id, Form.filled({"reason": ""}))


@blueprint.post("/transfers/<int:transfer_id>/correction")
@requires("correct_transfers")
@idempotent
def request_correction(transfer_id: int) -> Response:
    """Ask for the reversal of a transfer."""
    form = Form.sent("reason")
    try:
        made = commands.request_correction(current_actor(), transfer_id, reason=form["reason"])
    except (BadInput, Conflict) as error:
        return _transfer_page(transfer_id, form.refuse(error), status=error.status)
    if made.state == "done":
        flash(gettext("The transfer is reversed."))
    else:
        flash(gettext("Asked for; a second accountant or an administrator has to approve it."))
    return htmx.go_to(url_for("accounting.transfer", transfer_id=transfer_id))


@blueprint.get("/corrections")
@requires("approve_corrections")
def corrections() -> Response:
    """Corrections: those that wait for a decision, and those that were decided."""
    actor = current_actor()
    rows = [_correction(row, actor.user_id) for row in queries.corrections(db.session())]
    return htmx.page(
        "accounting/corrections.html",
        corrections=rows,
        can_see_transfers=actor.may("see_all_transfers"),
    )


@blueprint.post("/corrections/<int:correction_id>/approval")
@requires("approve_corrections")
@idempotent
def approve_correction(correction_id: int) -> Response:
    """Reverse the transfer of a correction that somebody else asked for."""
    return _decide(
        lambda: commands.approve_correction(current_actor(), correction_id),
        gettext("The transfer is reversed."),
    )


@blueprint.post("/corrections/<int:correction_id>/refusal")
@requires("approve_corrections")
@idempotent
def refuse_correction(correction_id: int) -> Response:
    """Refuse a correction, or take one's own back."""
    note = request.form.get("note", "")
    return _decide(
        lambda: commands.refuse_correction(current_actor(), correction_id, note=note),
        gettext("The correction is refused; nothing was moved."),
    )


@blueprint.app_context_processor
def _for_links() -> dict[str, Any]:
    """What a link to the corrections counts; asked for where such a link is, and only there."""
    return {"waiting_corrections": _waiting}


def _waiting() -> str:
    """How many corrections wait for the reader, as it is written: nothing for none."""
    count = queries.waiting_corrections(db.session(), current_actor().user_id)
    return f"{count}{'+' if count.is_more else ''}" if count else ""


def _decide(decide: Any, words: str) -> Response:
    try:
        decide()
    except (Conflict, Forbidden, BadInput) as error:
        flash(_words(error), "error")
    else:
        flash(words)
    return htmx.go_to(url_for("accounting.corrections"))


def _words(error: AtesError) -> str:
    fields = error.fields.values() if isinstance(error, BadInput) else ()
    return translated(next(iter(fields), error.message))


def _transfer_page(transfer_id: int, form: Form, *, status: int = 200) -> Response:
    row = queries.transfer_of(db.session(), transfer_id)
    day = Period(row.business_day, row.business_day)
    return htmx.page(
        "accounting/transfer.html",
        None,
        status,
        transfer=row,
        form=form,
        day_url=url_for("accounting.report", **arguments(LedgerFilter(period=day))),
        person_url=person_url(row.user_id, day),
        can_correct=row.kind != "reversal" and row.correction_id is None,
    )


def _correction(row: Any, user_id: int) -> dict[str, Any]:
    is_open = row.state == "requested"
    return {
        **row._mapping,  # noqa: SLF001 - the public name of a row's columns
        "is_open": is_open,
        "is_own": row.requested_by == user_id,
    }
