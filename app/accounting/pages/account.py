"""Statements: of one's own account, and for accountants of anybody's; as page, CSV and XLSX."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flask import Response, request, url_for

from app.accounting import queries, spreadsheet
from app.accounting.pages import blueprint
from app.accounting.pages.files import file_response
from app.accounting.pages.period import (
    arguments,
    asked_cursor,
    asked_period,
    cursor_after,
    period_form,
    running,
)
from app.accounting.queries import LedgerFilter, Period, StatementPage, StatementSums
from app.accounting.spreadsheet import Cell, Money
from app.kernel import settings
from app.kernel.db import db
from app.kernel.money import decimal_string
from app.kernel.periods import chart_points, chart_starts
from app.web import htmx, live
from app.web.access import current_actor, requires
from app.web.filters import kept_without_errors
from app.web.today import business_today, remember_today

COLUMNS = ("id", "time", "business_day", "kind", "task", "change", "balance", "event_id")
FILE_PAGE = 1000


@blueprint.get("/account")
@requires("see_own_account")
@kept_without_errors
def mine() -> Response:
    """One's balance, today, and the statement of a period with a running balance."""
    actor = current_actor()
    return _statement_page(actor.user_id, actor.login, is_mine=True)


@blueprint.get("/accounts/<int:user_id>")
@requires("see_all_transfers")
@kept_without_errors
def statement(user_id: int) -> Response:
    """Anybody's statement, for accountants."""
    person = queries.person_of(db.session(), user_id)
    return _statement_page(person.id, person.login, is_mine=False)


@blueprint.get("/account/version")
@requires("see_own_account")
def mine_version() -> Response:
    """Whether one's own account has changed: 304 if not."""
    return live.answer(_version(current_actor().user_id))


@blueprint.get("/accounts/<int:user_id>/version")
@requires("see_all_transfers")
def statement_version(user_id: int) -> Response:
    """The same of anybody's account, for accountants."""
    return live.answer(_version(user_id))


@blueprint.get("/account.csv")
@requires("see_own_account")
def mine_csv() -> Response:
    """One's own statement as CSV."""
    actor = current_actor()
    return _file(actor.user_id, actor.login, "csv")


@blueprint.get("/account.xlsx")
@requires("see_own_account")
def mine_xlsx() -> Response:
    """One's own statement as XLSX."""
    actor = current_actor()
    return _file(actor.user_id, actor.login, "xlsx")


@blueprint.get("/accounts/<int:user_id>/statement.csv")
@requires("see_all_transfers")
def statement_csv(user_id: int) -> Response:
    """Anybody's statement as CSV, for accountants."""
    return _file(user_id, queries.person_of(db.session(), user_id).login, "csv")


@blueprint.get("/accounts/<int:user_id>/statement.xlsx")
@requires("see_all_transfers")
def statement_xlsx(user_id: int) -> Response:
    """Anybody's statement as XLSX, for accountants."""
    return _file(user_id, queries.person_of(db.session(), user_id).login, "xlsx")


def _version(user_id: int) -> str:
    found = queries.account_version(db.session(), user_id)
    remember_today(found.today)
    return live.version(now=f"{found.version}.{found.today}", lines=found.version)


def _statement_page(user_id: int, login: str, *, is_mine: bool) -> Response:
    version = _version(user_id)  # before the lines
    period, cursor = asked_period(), asked_cursor()
    page = queries.statement_page(db.session(), user_id, period, before=cursor)
    names = {
        "transfers": [_line(row, is_mine=is_mine) for row in page.lines],
        "next_url": _next(period, page),
        "is_mine": is_mine,
        "opening": {"day": period.first, "cents": page.before},
    }
    if cursor is not None and page.lines and htmx.wants_fragment():
        return htmx.page("accounting/_statement.html", **names)
    sums = queries.statement_sums(db.session(), user_id, period)
    address: dict[str, Any] = {} if is_mine else {"user_id": user_id}
    name = "mine" if is_mine else "statement"
    ends: dict[str, Any] = {"from": period.first, "to": period.last}
    return htmx.page(
        "accounting/mine.html",
        owner={"id": user_id, "login": login},
        summary=_summary(user_id, sums),
        period=period_form(f"accounting.{name}", LedgerFilter(period=period), **address),
        **_points(user_id, period, sums.opening),
        version=version,
        version_url=url_for(f"accounting.{name}_version", **address),
        here_url=url_for(f"accounting.{name}", **address, **ends),
        goes_on=period.last >= business_today(),
        months=_months(user_id, period, sums.opening),
        csv_url=url_for(f"accounting.{name}_csv", **address, **ends),
        xlsx_url=url_for(f"accounting.{name}_xlsx", **address, **ends),
        report_url=None
        if is_mine
        else url_for(
            "accounting.report", **arguments(LedgerFilter(period=period, user_id=user_id))
        ),
        **names,
    )


def _summary(user_id: int, sums: StatementSums) -> dict[str, int]:
    balance = queries.balance_of(db.session(), user_id)
    return {
        "balance_cents": balance.balance,
        "today_cents": balance.earned_today,
        "opening_cents": sums.opening,
        "fees_cents": sums.fees,
        "rewards_cents": sums.rewards,
        "paid_cents": sums.payouts,
        "corrections_cents": sums.corrections,
        "closing_cents": sums.closing,
    }


def _points(user_id: int, period: Period, opening: int) -> dict[str, Any]:
    """The charts: the balance at the end of each step, and what each step earned."""
    by_day = queries.earnings_by_day(db.session(), user_id, period)
    changes = {row.business_day: row.delta for row in by_day}
    earned = {row.business_day: row.rewards - row.fees for row in by_day}
    return {
        "points": running(opening, changes, chart_starts(period), period.last),
        "earned": chart_points(period, earned),
    }


def _months(user_id: int, period: Period, opening: int) -> list[dict[str, Any]]:
    months, closing = [], opening
    for row in queries.months_of(db.session(), user_id, period):
        closing += row.delta
        months.append(
            {
                "day": row.month,
                "fees_cents": row.fees,
                "rewards_cents": row.rewards,
                "paid_cents": row.payouts,
                "corrections_cents": row.corrections,
                "change_cents": row.delta,
                "closing_cents": closing,
                "transfer_count": row.transfers,
            }
        )
    return months


def _file(user_id: int, login: str, format: str) -> Response:  # noqa: A002 - its name everywhere
    period = asked_period()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "rows")
        spreadsheet.WRITERS[format](
            path,
            COLUMNS,
            _rows(user_id, period),
            about=lambda: _about(user_id, login, period),
        )
        name = f"statement-{login}-{period.first}-{period.last}.{format}"
        return file_response(path.read_bytes(), name, format)


def _about(user_id: int, login: str, period: Period) -> dict[str, str]:
    sums = queries.statement_sums(db.session(), user_id, period)
    return {
        "statement of": login,
        "from": period.first.isoformat(),
        "to": period.last.isoformat(),
        "made": queries.clock_words(db.session()),
        "currency": settings.current().currency,
        "opening": decimal_string(sums.opening),
        "fees": decimal_string(sums.fees),
        "rewards": decimal_string(sums.rewards),
        "corrections": decimal_string(sums.corrections),
        "payouts": decimal_string(sums.payouts),
        "closing": decimal_string(sums.closing),
    }


def _rows(user_id: int, period: Period) -> Iterator[tuple[Cell, ...]]:
    cursor = None
    while True:
        page = queries.statement_page(db.session(), user_id, period, before=cursor, limit=FILE_PAGE)
        for row in page.lines:
            yield (
                row.id,
                row.timestamp,
                row.business_day,
                row.kind,
                row.task_name or row.description,
                Money(row.delta_balance),
                Money(row.running_balance),
                row.event_id,
            )
        if not page.has_more:
            return
        cursor = (page.lines[-1].business_day, page.lines[-1].id)


def _next(period: Period, page: StatementPage) -> str | None:
    if not page.has_more:
        return None
    ends = {"from": period.first, "to": period.last}
    values = {**(request.view_args or {}), **ends, "cursor": cursor_after(page.lines[-1])}
    return url_for(request.endpoint or "accounting.mine", **values)


def _line(row: Any, *, is_mine: bool) -> dict[str, Any]:
    return {
        "id": row.id,
        "url": None if is_mine else url_for("accounting.transfer", transfer_id=row.id),
        "timestamp": row.timestamp,
        "recorded_at": row.recorded_at,
        "business_day": row.business_day,
        "is_late": row.late,
        "task_id": row.task_id,
        "task_name": row.task_name,
        "description": row.description,
        "kind": row.kind,
        "delta_cents": row.delta_balance,
        "balance_after_cents": row.running_balance,
    }
