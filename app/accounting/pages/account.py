"""One's own account, and its statement as CSV."""

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
    cursor_after,
    days_of,
    period_form,
    running,
)
from app.accounting.queries import Period, Statement
from app.kernel.db import db
from app.kernel.money import decimal_string
from app.web import htmx
from app.web.access import current_actor, requires

CSV_COLUMNS = ("time", "business_day", "kind", "task", "change", "balance", "event_id")
CSV_PAGE = 1000


@blueprint.get("/account")
@requires("see_own_account")
def mine() -> Response:
    """One's balance, today, and the statement of a period with a running balance."""
    actor, period, cursor = current_actor(), asked_period(), asked_cursor()
    statement = queries.statement_of(db.session(), actor.user_id, period, before=cursor)
    names = {"transfers": [_line(row) for row in statement.lines], "next_url": _next(statement)}
    if cursor is not None and htmx.wants_fragment():
        return htmx.page("accounting/_statement.html", **names)
    balance = queries.balance_of(db.session(), actor.user_id)
    by_day = queries.earnings_by_day(db.session(), actor.user_id, period)
    changes = {row.business_day: row.delta for row in by_day}
    return htmx.page(
        "accounting/mine.html",
        is_mine=True,
        owner={"id": actor.user_id, "login": actor.login},
        summary={
            "balance_cents": balance.balance,
            "today_cents": balance.earned_today,
            "fees_cents": statement.fees,
            "rewards_cents": statement.rewards,
            "paid_cents": statement.payouts,
        },
        period=period_form("accounting.mine", period, None),
        points=running(statement.opening, changes, days_of(period)),
        csv_url=url_for("accounting.mine_csv", **arguments(period)),
        **names,
    )


@blueprint.get("/account.csv")
@requires("see_own_account")
def mine_csv() -> Response:
    """The statement of the period as a file."""
    period = asked_period()
    name = f"statement-{period.first}-{period.last}.csv"
    return csv_response(name, CSV_COLUMNS, _csv_rows(current_actor().user_id, period))


def _csv_rows(user_id: int, period: Period) -> Iterator[tuple[object, ...]]:
    cursor = None
    while True:
        page = queries.statement_of(db.session(), user_id, period, before=cursor, limit=CSV_PAGE)
        for row in page.lines:
            yield (
                row.timestamp.isoformat(),
                row.business_day,
                row.kind,
                row.task_name or "",
                decimal_string(row.delta_balance),
                decimal_string(row.running_balance),
                row.event_id,
            )
        if not page.has_more:
            return
        cursor = (page.lines[-1].business_day, page.lines[-1].id)


def _next(statement: Statement) -> str | None:
    if not statement.has_more:
        return None
    cursor = cursor_after(statement.lines[-1])
    return url_for("accounting.mine", cursor=cursor, **arguments(statement.period))


def _line(row: Any) -> dict[str, Any]:
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
        "balance_after_cents": row.running_balance,
    }
