"""The accountant's report: one filter behind tiles, chart, tables and files."""

from __future__ import annotations

from datetime import date
from typing import Any

from flask import Response, request, url_for
from flask_babel import gettext, ngettext

from app.accounting import queries
from app.accounting.pages import blueprint
from app.accounting.pages.period import (
    arguments,
    asked_cursor,
    asked_filter,
    cursor_after,
    period_form,
)
from app.accounting.queries import KINDS, LedgerFilter, Period, Totals, TransferRow
from app.kernel.db import db
from app.kernel.errors import BadInput
from app.kernel.periods import chart_points
from app.web import htmx, live
from app.web.access import requires
from app.web.arguments import is_whole_number, whole_number
from app.web.filters import kept_without_errors
from app.web.today import business_today, remember_today

SHOWN_PEOPLE = 200
# Balances beside the report, and on a page of their own.
SHOWN_BALANCES, BALANCES_PAGE = 50, 100


@blueprint.get("/report")
@requires("see_all_transfers")
@kept_without_errors
def report() -> Response:
    """Sums, income per day, days, people and transfers of the filter; balances and payout runs.

    Sums that no roll-up has, of a kind or of words, look at each transfer: they come after.
    """
    if request.args.get("cursor") and htmx.wants_fragment():
        wanted = asked_filter()
        rows = queries.all_transfers(db.session(), wanted, before=asked_cursor())
        return htmx.page("accounting/_transfers.html", **_transfers(rows, wanted))
    return _report(with_sums=False)


@blueprint.get("/report/sums")
@requires("see_all_transfers")
@kept_without_errors
def report_sums() -> Response:
    """The sums of the filter in their places on the report, or with it where no script asks."""
    if htmx.wants_fragment():
        return htmx.page("accounting/_sums.html", **_sums(asked_filter()))
    return _report(with_sums=True)


@blueprint.get("/balances")
@requires("see_all_transfers")
def balances() -> Response:
    """Everybody's balance now, the highest first, with what today brought."""
    session = db.session()
    after = _balance_cursor(request.args.get("cursor", ""))
    rows = queries.balances(session, business_today(), after=after, limit=BALANCES_PAGE)
    shown, more = rows[:BALANCES_PAGE], len(rows) > BALANCES_PAGE
    cursor = f"{shown[-1].balance}_{shown[-1].id}" if more else None
    names = {
        "balances": shown,
        "all_balances": queries.all_balances(session),
        "next_url": url_for("accounting.balances", cursor=cursor) if more else None,
    }
    is_fragment = after is not None and htmx.wants_fragment()
    return htmx.page(f"accounting/{'_all_balances' if is_fragment else 'balances'}.html", **names)


def _balance_cursor(text: str) -> tuple[int, int] | None:
    """The last row of the page above, as `-350_12`. Raises BadInput for anything else."""
    if not text:
        return None
    balance, _, account_id = text.partition("_")
    if not (is_whole_number(balance.removeprefix("-")) and is_whole_number(account_id)):
        raise BadInput(fields={"cursor": "Not a cursor of this list"})
    return int(balance), int(account_id)


@blueprint.get("/report/version")
@requires("see_all_transfers")
def report_version() -> Response:
    """How far the ledger has come today, and in words how many transfers came after `since`."""
    found = queries.ledger_version(db.session())
    count = found[1] - (whole_number("since") or 0)
    words = ngettext("One new transfer", "%(num)s new transfers", count) if count > 0 else ""
    return live.answer(ledger_parts(found), ledger=words or gettext("The ledger has changed"))


def ledger_parts(found: tuple[date, int, int]) -> str:
    """The version of a page that shows the whole ledger."""
    return live.version(ledger=".".join(map(str, found)))


def _report(*, with_sums: bool) -> Response:
    """The page; with the sums if they are wanted, or at hand."""
    version = queries.ledger_version(db.session())  # before the rows
    remember_today(version[0])
    wanted, cursor = asked_filter(), asked_cursor()
    rows = queries.all_transfers(db.session(), wanted, before=cursor)
    is_summed = with_sums or wanted.is_whole
    sums = _sums(wanted) if is_summed else {}
    is_short = len(rows) <= queries.PAGE and cursor is None
    return htmx.page(
        "accounting/report.html",
        version=ledger_parts(version),
        version_url=url_for("accounting.report_version", since=version[1]),
        here_url=url_for("accounting.report", **arguments(wanted)),
        goes_on=wanted.period.last >= version[0],
        is_summed=is_summed,
        sums_url=url_for("accounting.report_sums", **arguments(wanted)),
        direct=sums["totals"]["transfer_count"] <= queries.PAGE_MAX if is_summed else is_short,
        **_transfers(rows, wanted),
        **sums,
        **_around(wanted),
    )


def _transfers(rows: list[TransferRow], wanted: LedgerFilter) -> dict[str, Any]:
    return {
        "transfers": [line(row, wanted) for row in rows[: queries.PAGE]],
        "next_url": _next(wanted, rows),
    }


def _sums(wanted: LedgerFilter) -> dict[str, Any]:
    """The sums of the filter, in all, by day, and of a single day by person."""
    by_day = queries.sums_by_day(db.session(), wanted)
    is_one_day = wanted.period.first == wanted.period.last
    has_corrections = any(sums.corrections for sums in by_day.values())
    days = {} if is_one_day else {day: by_day[day] for day in reversed(by_day)}
    return {
        "totals": totals_shown(sum(by_day.values(), Totals())),
        "positions": queries.positions(db.session(), wanted),
        "points": [] if is_one_day else chart_points(wanted.period, _incomes(by_day)),
        "has_corrections": has_corrections,
        "days": [
            _day(day, sums, wanted, has_corrections=has_corrections) for day, sums in days.items()
        ],
        "persons": _persons(wanted) if is_one_day and wanted.user_id is None else [],
    }


def _around(wanted: LedgerFilter) -> dict[str, Any]:
    """The filter, where it leads to, and what stands beside: everybody's balance, payout runs."""
    holders = queries.account_holders(db.session(), highest=SHOWN_BALANCES)
    return {
        "period": period_form("accounting.report", wanted),
        "kinds": KINDS,
        "people": holders.by_login,
        "back_url": _back(wanted),
        "balances": holders.highest,
        "all_balances": holders,
        "runs": _runs(),
        "files": {
            kind: url_for(f"accounting.report_{kind}", **arguments(wanted))
            for kind in ("csv", "xlsx")
        },
        "export_fields": {
            name: value for name, value in arguments(wanted).items() if value is not None
        },
    }


def totals_shown(sums: Totals) -> dict[str, int]:
    """The sums of a filter as the tiles show them, in minor units."""
    return {
        "fees_cents": sums.fees,
        "rewards_cents": sums.rewards,
        "corrections_cents": sums.corrections,
        "income_cents": sums.income,
        "paid_cents": sums.payouts,
        "returned_cents": sums.payouts_reversed,
        "change_cents": sums.delta,
        "transfer_count": sums.transfers,
    }


def person_url(user_id: int, period: Period) -> str:
    """The report of one employee."""
    return url_for("accounting.report", **arguments(LedgerFilter(period=period, user_id=user_id)))


def line(row: TransferRow, wanted: LedgerFilter) -> dict[str, Any]:
    """A transfer as the report's table shows it."""
    return {
        "id": row.id,
        "timestamp": row.timestamp,
        "recorded_at": row.recorded_at,
        "business_day": row.business_day,
        "is_late": row.late,
        "task_id": row.task_id,
        "task_name": row.task_name,
        "description": row.description,
        "kind": row.kind,
        "delta_cents": row.delta_balance,
        "balance_after_cents": row.balance_after,
        "user_id": row.user_id,
        "user_login": row.login,
        "period": wanted.period,
    }


def _incomes(by_day: dict[Any, Totals]) -> dict[Any, int]:
    return {day: sums.income for day, sums in by_day.items()}


def _day(day: Any, sums: Totals, wanted: LedgerFilter, *, has_corrections: bool) -> dict[str, Any]:
    return {"day": day, "of": wanted, "has_corrections": has_corrections, **totals_shown(sums)}


def _persons(wanted: LedgerFilter) -> list[dict[str, Any]]:
    found = queries.sums_by_person(db.session(), wanted, limit=SHOWN_PEOPLE)
    return [
        {"user_id": user_id, "login": login, "of": wanted, **totals_shown(sums)}
        for user_id, login, sums in found
    ]


def _back(wanted: LedgerFilter) -> str | None:
    """One step up: from a person to everybody, from a day to its month."""
    if wanted.user_id is not None:
        return url_for("accounting.report", **arguments(wanted, user_id=None))
    day = wanted.period.first
    if day == wanted.period.last:
        month = queries.named_period(f"{day:%Y-%m}", today=day)
        return url_for("accounting.report", **arguments(wanted, period=month))
    return None


def _runs() -> list[dict[str, Any]]:
    return [
        {
            "day": row.day,
            "paid_cents": row.paid_total or 0,
            "paid_count": row.paid_count or 0,
            "mails_sent": row.mails_sent,
            "mails_failed": row.mails_failed,
        }
        for row in queries.business_days(db.session())
    ]


def _next(wanted: LedgerFilter, rows: list[TransferRow]) -> str | None:
    if len(rows) <= queries.PAGE:
        return None
    cursor = cursor_after(rows[queries.PAGE - 1])
    return url_for("accounting.report", cursor=cursor, **arguments(wanted))
