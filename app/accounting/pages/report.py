"""The accountant's report: one filter behind tiles, chart, table and file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flask import Response, url_for

from app.accounting import queries
from app.accounting.pages import blueprint
from app.accounting.pages.csv_file import csv_response
from app.accounting.pages.period import (
    arguments,
    asked_cursor,
    asked_period,
    business_today,
    cursor_after,
    period_form,
)
from app.accounting.queries import LedgerFilter, Period, TransferRow
from app.kernel.db import db
from app.kernel.money import decimal_string
from app.web import htmx
from app.web.access import requires
from app.web.arguments import whole_number

CSV_COLUMNS = (
    "time",
    "posted",
    "business_day",
    "late",
    "employee",
    "kind",
    "task",
    "change",
    "balance_after",
    "event_id",
)


@blueprint.get("/report")
@requires("see_all_transfers")
def report() -> Response:
    """Income per day, all transfers, balances and payout runs of a period, for one or for all."""
    wanted = LedgerFilter(period=asked_period(), user_id=whole_number("user_id"))
    cursor = asked_cursor()
    rows = queries.all_transfers(db.session(), wanted, before=cursor)
    names = {
        "transfers": [_line(row, wanted.period) for row in rows[: queries.PAGE]],
        "next_url": _next(wanted, rows),
    }
    if cursor is not None and htmx.wants_fragment():
        return htmx.page("accounting/_transfers.html", **names)
    return htmx.page("accounting/report.html", **names, **_summary(wanted))


@blueprint.get("/report.csv")
@requires("see_all_transfers")
def report_csv() -> Response:
    """All transfers of the filter as a file."""
    wanted = LedgerFilter(period=asked_period(), user_id=whole_number("user_id"))
    name = f"transfers-{wanted.period.first}-{wanted.period.last}.csv"
    return csv_response(name, CSV_COLUMNS, _csv_rows(wanted))


def _summary(wanted: LedgerFilter) -> dict[str, Any]:
    sums = queries.totals(db.session(), wanted)
    accounts = queries.balances(db.session(), business_today())
    days = [] if wanted.user_id else queries.ledger_days(db.session(), wanted.period)
    return {
        "period": period_form("accounting.report", wanted.period, wanted.user_id),
        "people": [{"id": row.user_id, "login": row.login} for row in accounts],
        "totals": {
            "fees_cents": sums.fees,
            "rewards_cents": sums.rewards,
            "income_cents": sums.income,
            "paid_cents": sums.payouts,
            "transfer_count": sums.transfers,
        },
        "points": [{"day": row.business_day, "cents": row.income} for row in days],
        "balances": [
            {
                "user_id": row.user_id,
                "login": row.login,
                "balance_cents": row.balance,
                "url": person_url(row.user_id, wanted.period),
            }
            for row in accounts
        ],
        "balances_sum_cents": sum(row.balance for row in accounts),
        "runs": [
            {
                "day": row.day,
                "paid_cents": row.paid_total or 0,
                "paid_count": row.paid_count or 0,
                "mails_sent": row.mails_sent,
                "mails_failed": row.mails_failed,
            }
            for row in queries.business_days(db.session())
        ],
        "csv_url": url_for("accounting.report_csv", **arguments(wanted.period, wanted.user_id)),
        "xlsx_url": None,
    }


def person_url(user_id: int, period: Period) -> str:
    """The report of one employee."""
    return url_for("accounting.report", **arguments(period, user_id))


def _next(wanted: LedgerFilter, rows: list[TransferRow]) -> str | None:
    if len(rows) <= queries.PAGE:
        return None
    cursor = cursor_after(rows[queries.PAGE - 1])
    names = arguments(wanted.period, wanted.user_id)
    return url_for("accounting.report", cursor=cursor, **names)


def _line(row: TransferRow, period: Period) -> dict[str, Any]:
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
        "user_url": person_url(row.user_id, period),
    }


def _csv_rows(wanted: LedgerFilter) -> Iterator[tuple[object, ...]]:
    for row in queries.export_transfers(db.session(), wanted):
        yield (
            row.timestamp.isoformat(),
            row.recorded_at.isoformat(),
            row.business_day,
            "late" if row.late else "",
            row.login,
            row.kind,
            row.task_name or "",
            decimal_string(row.delta_balance),
            decimal_string(row.balance_after),
            row.event_id,
        )
