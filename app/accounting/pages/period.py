"""The period and the cursor in a page's address, and the links that change them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

from flask import request, url_for

from app.accounting.queries import (
    LedgerFilter,
    Period,
    named_period,
    parse_day,
    parse_period,
)
from app.kernel.errors import BadInput
from app.web.arguments import is_whole_number, whole_number
from app.web.presets import DEFAULT_DAYS, presets
from app.web.today import business_today


@dataclass(frozen=True, slots=True)
class PeriodForm:
    """The filter above a statement or the report."""

    action_url: str
    user_id: int | None
    first_day: date
    last_day: date
    presets: Sequence[dict[str, Any]]
    kind: str | None = None
    text: str = ""


def asked_period(*, days: int = DEFAULT_DAYS) -> Period:
    """The period of the request: a named one in `period`, else `from` and `to`.

    By default the last `days` business days.
    """
    today = business_today()
    if name := request.args.get("period", "").strip():
        return named_period(name, today=today)
    default = Period(today - timedelta(days=days - 1), today)
    return parse_period(request.args.get("from"), request.args.get("to"), default=default)


def asked_filter() -> LedgerFilter:
    """The one filter of the report, from the request's address."""
    return LedgerFilter(
        period=asked_period(),
        user_id=whole_number("user_id"),
        kind=request.args.get("kind") or None,
        text=request.args.get("q", "").strip(),
    )


def sent_filter() -> LedgerFilter:
    """The same filter, from the fields of the request's form. Raises BadInput without a period."""
    form = request.form
    first, last = parse_day(form.get("from"), "from"), parse_day(form.get("to"), "to")
    if first is None or last is None:
        raise BadInput(fields={"from": "Name both ends of the period"})
    user_id = form.get("user_id", "")
    if user_id and not is_whole_number(user_id):
        raise BadInput(fields={"user_id": "A whole number"})
    return LedgerFilter(
        period=Period(first, last),
        user_id=int(user_id) if user_id else None,
        kind=form.get("kind") or None,
        text=form.get("q", "").strip(),
    )


def period_form(endpoint: str, wanted: LedgerFilter, **values: Any) -> PeriodForm:
    """The filter's state, and its presets. `values` are the other parts of the page's address."""
    return PeriodForm(
        action_url=url_for(endpoint, **values),
        user_id=wanted.user_id,
        first_day=wanted.period.first,
        last_day=wanted.period.last,
        kind=wanted.kind,
        text=wanted.text,
        presets=[
            {
                "label": label,
                "url": url_for(endpoint, **{**arguments(wanted, period=period), **values}),
                "active": period == wanted.period,
            }
            for label, period in presets()
        ],
    )


def arguments(wanted: LedgerFilter, **changes: Any) -> dict[str, Any]:
    """The filter, with `changes` to it, as an address carries it."""
    wanted = replace(wanted, **changes)
    return {
        "from": wanted.period.first,
        "to": wanted.period.last,
        "user_id": wanted.user_id,
        "kind": wanted.kind,
        "q": wanted.text or None,
    }


def asked_cursor() -> tuple[date, int] | None:
    """The last line of the page above, as `2026-11-30_123`. Raises BadInput for anything else."""
    text = request.args.get("cursor", "")
    if not text:
        return None
    first, _, number = text.partition("_")
    day = parse_day(first, "cursor")
    if day is None or not is_whole_number(number):
        raise BadInput(fields={"cursor": "Not a cursor of this list"})
    return day, int(number)


def cursor_after(row: Any) -> str:
    """The cursor of the page that begins after `row`."""
    return f"{row.business_day}_{row.id}"


def running(
    opening: int, changes: Mapping[date, int], starts: Sequence[date], last: date
) -> list[dict[str, Any]]:
    """The balance at the end of each step of a chart, from `opening` and each day's change."""
    points, balance, days = [], opening, sorted(changes)
    ends = [*(start - timedelta(days=1) for start in starts[1:]), last]
    for end in ends:
        while days and days[0] <= end:
            balance += changes[days.pop(0)]
        points.append({"day": end, "cents": balance})
    return points
