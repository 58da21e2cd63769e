"""The mails, for accountants; and the folder of mails, for administrators, where no server is."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, flash, render_template, request, url_for
from flask_babel import gettext, ngettext

from app.kernel import settings
from app.kernel.db import db
from app.kernel.errors import BadInput, Conflict, NotFound
from app.payments import commands, queries
from app.payments.folder import FolderMail, mails_in, read_mail
from app.web import htmx
from app.web.access import current_actor, requires
from app.web.arguments import whole_number
from app.web.idempotency import idempotent

blueprint = Blueprint("payments", __name__)


@blueprint.get("/mail")
@requires("see_all_transfers")
def mails() -> Response:
    """Every mail and its state, newest first; each can be sent again."""
    state = request.args.get("state") or None
    if state is not None and state not in queries.STATES:
        raise BadInput(fields={"state": "Not a state of a mail"})
    rows = queries.mails(db.session(), state=state, before=whole_number("cursor"))
    shown = rows[: queries.PAGE]
    more = len(rows) > queries.PAGE
    next_url = url_for("payments.mails", state=state, cursor=shown[-1].id) if more else None
    names = {"mails": [_row(row) for row in shown], "next_url": next_url}
    if "cursor" in request.args and htmx.wants_fragment():
        return htmx.page("payments/_mails.html", **names)
    counts = queries.counts(db.session())
    return htmx.page(
        "payments/mails.html",
        state=state,
        states=queries.STATES,
        counts=counts,
        unsent=counts["failed"] + counts["unknown"],
        folder_used=settings.current().smtp_url is None,
        **names,
    )


@blueprint.post("/mail/<int:email_id>/delivery")
@requires("resend_mail")
@idempotent
def resend(email_id: int) -> Response:
    """Send a mail again."""
    try:
        commands.resend(current_actor(), email_id)
    except Conflict as error:
        flash(gettext(error.message), "error")
    else:
        flash(gettext("The mail will be sent again."))
    return htmx.go_to(_back())


@blueprint.post("/mail/deliveries")
@requires("resend_mail")
@idempotent
def resend_unsent() -> Response:
    """Send every mail again that failed, or whose fate is not known."""
    count = commands.resend_unsent(current_actor())
    flash(
        ngettext("%(num)s mail will be sent again.", "%(num)s mails will be sent again.", num=count)
    )
    return htmx.go_to(url_for("payments.mails"))


@blueprint.get("/mailbox")
@requires("read_mail_folder")
def mailbox() -> str:
    """The mails that were written into the folder, since no mail server is set."""
    return render_template(
        "payments/mailbox.html",
        mails=mails_in(settings.current()),
        server_set=settings.current().smtp_url is not None,
    )


@blueprint.get("/mailbox/<name>")
@requires("read_mail_folder")
def folder_mail(name: str) -> str:
    """One mail of the folder, as text."""
    return render_template("payments/folder_mail.html", mail=_found(name))


@blueprint.get("/mailbox/<name>/file")
@requires("read_mail_folder")
def mail_file(name: str) -> Response:
    """The mail as it was written, to open it in a mail program."""
    mail = _found(name)
    headers = {"Content-Disposition": f'attachment; filename="{mail.head.name}"'}
    return Response(mail.content, mimetype="message/rfc822", headers=headers)


def _found(name: str) -> FolderMail:
    mail = read_mail(settings.current(), name)
    if mail is None:
        raise NotFound("There is no such mail in the folder")
    return mail


def _back() -> str:
    """The page that the form was on: a day's payouts, or the mails."""
    day = request.form.get("day", "")
    if day:
        return url_for("accounting.payout_run", day=day)
    return url_for("payments.mails")


def _row(row: Any) -> dict[str, Any]:
    return {
        "id": row.id,
        "kind": row.kind,
        "state": "retrying" if row.state == "queued" and row.attempts else row.state,
        "attempts": row.attempts,
        "user_id": row.user_id,
        "login": row.login,
        "day": row.business_day,
        "cents": row.amount,
        "at": row.sent_at or row.queued_at,
        "due_at": row.due_at if row.state == "queued" and row.attempts else None,
        "error": row.last_error,
        "can_resend": row.state != "sending",
    }
