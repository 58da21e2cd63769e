"""Closing a business day: what it will pay, paying it, and what became of it."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from flask import Response, flash, render_template, request, url_for
from flask_babel import format_date, gettext

from app.accounting import commands, queries
from app.accounting.commands import ClosedDay
from app.accounting.pages import blueprint
from app.accounting.pages.period import arguments
from app.accounting.pages.report import ledger_parts
from app.accounting.queries import LedgerFilter, Period, Preview, parse_day
from app.kernel import settings
from app.kernel.db import db
from app.kernel.errors import BadInput, Conflict
from app.web import htmx, live
from app.web.access import current_actor, requires
from app.web.arguments import whole_number
from app.web.language import translated

PAYOUTS_SHOWN = 100
# So long a request pays; more people than that are paid by the worker while the page is watched.
PAY_FOR_S = 2.0


@blueprint.get("/close-day")
@requires("see_all_transfers")
def close_day() -> str:
    """What closing the next business day will pay to whom, before it is paid."""
    version = queries.ledger_version(db.session())  # before the sums
    return render_template(
        "accounting/close_day.html",
        closing=_closing(),
        version=ledger_parts(version),
        version_url=url_for("accounting.report_version", since=version[1]),
    )


@blueprint.post("/payouts")
@requires("pay_to_workers")
def run_payouts() -> Response:
    """Close the day that the form names and pay; a second time changes nothing and says so."""
    day = _asked_day(request.form.get("business_day", ""))
    try:
        closed = commands.pay_to_workers(current_actor(), business_day=day, pay_for_s=PAY_FOR_S)
    except Conflict as error:
        flash(translated(error.message), "error")
        return htmx.go_to(url_for("accounting.close_day"))
    return _closed(closed)


@blueprint.post("/demo/end-day")
@requires("end_demo_day")
def end_day() -> Response:
    """Demo only: move the clock to the next business day and close the one that the form names."""
    preview = queries.close_preview(db.session())
    if _asked_day(request.form.get("business_day", "")) != preview.today:
        # A second click, or an old page: that day was ended already.
        return htmx.go_to(url_for("accounting.close_day"))
    try:
        return _closed(commands.end_demo_day(current_actor(), pay_for_s=PAY_FOR_S))
    except Conflict as error:
        flash(translated(error.message), "error")
        return htmx.go_to(url_for("accounting.close_day"))


@blueprint.get("/payouts/<day>")
@requires("see_all_transfers")
def payout_run(day: str) -> Response:
    """The closing report: what a day brought and paid to whom, the mail of each, and its seal."""
    wanted = _asked_day(day)
    if htmx.wants_fragment() and not {"cursor", "mails"} & request.args.keys():
        return _closing_now(wanted)
    mails = _mails_version(wanted)  # before their states
    run = queries.closing_report(db.session(), wanted)
    rows = queries.payouts_of_day(db.session(), wanted, after=whole_number("cursor") or 0)
    shown, more = rows[:PAYOUTS_SHOWN], len(rows) > PAYOUTS_SHOWN
    next_url = url_for("accounting.payout_run", day=day, cursor=shown[-1].id) if more else None
    names = {
        "run": run,
        "payouts": [_payout(row, wanted) for row in shown],
        "next_url": next_url,
    }
    if "cursor" in request.args and htmx.wants_fragment():
        return htmx.page("accounting/_payouts.html", **names)
    return htmx.page(
        "accounting/payout_run.html",
        day_url=url_for(
            "accounting.report", **arguments(LedgerFilter(period=Period(wanted, wanted)))
        ),
        progress=_progress(wanted) if run.status == "closing" else None,
        version=mails,
        is_whole=not more and "cursor" not in request.args,
        version_url=url_for("accounting.payout_run_version", day=wanted.isoformat()),
        renewal_url=url_for("accounting.payout_run", day=wanted.isoformat(), mails="now"),
        **names,
    )


@blueprint.get("/payouts/<day>/version")
@requires("see_all_transfers")
def payout_run_version(day: str) -> Response:
    """Whether the state of a mail of that day's payouts has changed since If-None-Match."""
    return live.answer(_mails_version(_asked_day(day)))


def _mails_version(day: date) -> str:
    return live.version(mails=".".join(map(str, queries.mails_of_day(db.session(), day))))


def _closing_now(day: date) -> Response:
    """How far a closing is; the whole page when it is over."""
    progress = _progress(day)
    response = htmx.page("accounting/_closing.html", progress=progress)
    return htmx.steer(response, redirect=progress["url"] if progress["is_over"] else None)


def _progress(day: date) -> dict[str, Any]:
    found = queries.closing_progress(db.session(), day)
    return {
        "url": url_for("accounting.payout_run", day=day.isoformat()),
        "day": day,
        "paid_count": found.paid_count,
        "paid_cents": found.paid_total,
        "all_count": found.paid_count + found.left_count,
        "left_cents": found.left_total,
        "is_over": found.status == "closed",
    }


def _payout(row: Any, day: date) -> dict[str, Any]:
    return {
        "user_id": row.user_id,
        "login": row.login,
        "cents": row.amount,
        "transfer_id": row.transfer_id,
        "period": Period(day, day),
        "mail_state": _mail_state(row),
        "mail_error": row.mail_error,
        "email_id": row.email_id,
    }


def _closed(closed: ClosedDay) -> Response:
    if closed.already_closed:
        flash(gettext("This day was closed already; nothing was paid again."))
    elif not closed.is_closing:
        flash(gettext("The day is closed."))
    return htmx.go_to(url_for("accounting.payout_run", day=closed.business_day.isoformat()))


def _closing() -> dict[str, Any]:
    preview = queries.close_preview(db.session())
    is_demo_day = settings.current().demo and preview.business_day == preview.today
    period = Period(preview.business_day, preview.business_day)
    return {
        "day": preview.business_day,
        "hint": gettext("goes on") if is_demo_day else _hint(preview),
        "is_closing": preview.is_closing,
        "run_url": url_for("accounting.payout_run", day=preview.business_day.isoformat()),
        "total_cents": preview.paid_total,
        "payee_count": preview.paid_count,
        "payees": [
            {
                "user_id": row.user_id,
                "login": row.login,
                "cents": row.amount,
                "period": period,
            }
            for row in preview.rows
        ],
        "unpaid_count": preview.unpaid_count,
        "waiting_count": preview.waiting_count,
        "can_close": preview.has_ended,
        "can_end_day": is_demo_day,
        "refusal": _hint(preview),
    }


def _hint(preview: Preview) -> str:
    if preview.has_ended:
        return str(gettext("ended; can be closed"))
    tomorrow = format_date(preview.business_day + timedelta(days=1), "long", rebase=False)
    return str(gettext("goes on; can be closed from %(day)s on", day=tomorrow))


def _mail_state(row: Any) -> str:
    if row.mail_state == "queued" and row.mail_attempts:
        return "retrying"
    return str(row.mail_state)


def _asked_day(text: str) -> date:
    day = parse_day(text, "business_day")
    if day is None:
        raise BadInput(fields={"business_day": "Name the day"})
    return day
