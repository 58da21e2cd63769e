"""The administrator's analytics, in parts of which one that fails leaves the others.

The figures that the page is opened for come with it, the other parts load alone: a first visit is
eight requests. Without JavaScript the page leads to each part by a link, and the part is a page.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast, get_args

import structlog
from flask import Blueprint, Response, render_template, request, url_for
from flask_babel import LazyString, gettext, lazy_gettext
from sqlalchemy.exc import DBAPIError

from app.analytics import queries
from app.analytics.queries import PeriodName
from app.kernel.db import db
from app.kernel.errors import BadInput, NotFound
from app.kernel.periods import Period, chart_points, named_period, parse_period
from app.web import htmx
from app.web.access import requires
from app.web.filters import kept_without_errors
from app.web.presets import DEFAULT_DAYS, presets
from app.web.today import business_today

log = structlog.get_logger(__name__)

blueprint = Blueprint("analytics", __name__)
SHOWN_NEGATIVE = 50
PERIODS: tuple[tuple[PeriodName, LazyString], ...] = (
    ("day", lazy_gettext("Today")),
    ("week", lazy_gettext("This week")),
    ("month", lazy_gettext("This month")),
)


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the page: what it is called, and what its template gets, read now."""

    title: LazyString
    read: Callable[[Period], dict[str, Any]]


@blueprint.get("/analytics")
@requires("see_analytics")
@kept_without_errors
def index() -> Response:
    """Income, debts, the most expensive tasks, and how tasks flow, over any period."""
    period, step = _asked_period(), _asked_step()
    parts = [
        {
            "name": name,
            "title": PARTS[name].title,
            "url": _part_url(name, period, step),
            "html": _part(name, period) if name in AT_ONCE else None,
        }
        for name in PARTS
        if name not in WITHIN_OTHERS
    ]
    return htmx.page("analytics/index.html", period=_form(period, "index"), parts=parts)


@blueprint.get("/analytics/<part>")
@requires("see_analytics")
@kept_without_errors
def part(part: str) -> Response:
    """One part: in its place on the page, or as a page of its own."""
    if part not in PARTS:
        raise NotFound("There is no such part of analytics")
    period = _asked_period()
    return htmx.page(
        "analytics/part.html",
        "analytics/_part.html",
        name=part,
        html=_part(part, period),
        period=_form(period, "part", part=part),
        title=PARTS[part].title,
        index_url=url_for("analytics.index", **_ends(period)),
    )


def _part(name: str, period: Period) -> str:
    """The part as HTML; a query that fails is logged and says so in its own place."""
    try:
        shown = PARTS[name].read(period)
    except DBAPIError:
        log.exception("analytics_part_failed", part=name)
        db.session().rollback()
        url = _part_url(name, period, _asked_step())
        return render_template("analytics/_failed.html", name=name, url=url)
    return render_template(f"analytics/_{name}.html", **shown)


def _income(period: Period) -> dict[str, Any]:
    session = db.session()
    days = queries.income_by_day(session, period.first, period.last)

    def points(name: str) -> list[dict[str, Any]]:
        return chart_points(period, {row.business_day: getattr(row, name) for row in days})

    return {
        "today": queries.today_income(session),
        "compared_url": _part_url("compared", period, _asked_step()),
        "points": points("income"),
        "fees": points("fees"),
        "rewards": points("rewards"),
        "period_income": sum(row.income for row in days),
    }


def _compared(_: Period) -> dict[str, Any]:
    return {"compared": queries.income_compared(db.session())}


def _negative(period: Period) -> dict[str, Any]:
    session = db.session()
    sums = queries.balance_sums(session)
    rows = queries.negative_balances(session, limit=SHOWN_NEGATIVE)
    trend = queries.negative_trend(session, period.first, period.last)
    return {
        "negative": {
            "count": sums.negative,
            "account_count": sums.accounts,
            "sum_cents": sums.negative_sum,
            "people": [
                {"user_id": row.user_id, "login": row.login, "balance_cents": row.balance}
                for row in rows[:SHOWN_NEGATIVE]
            ],
        },
        "trend": trend,
        "points": [{"day": row.day, "cents": row.cents} for row in trend],
    }


def _dear(period: Period) -> dict[str, Any]:
    step = _asked_step()
    first, last = period.first, period.last
    spans = [(str(label), *queries.period_until(business_today(), name)) for name, label in PERIODS]
    spans.append((gettext("The period"), first, last))
    return {
        "most_expensive": [_most_expensive(*span) for span in spans],
        "step": step,
        "steps": [
            {"name": name, "url": _part_url("dear", period, name)} for name in get_args(PeriodName)
        ],
        "rows": queries.expensive_over_time(db.session(), first, last, step=step),
    }


def _most_expensive(label: str, first: Any, last: Any) -> dict[str, Any]:
    tasks = queries.most_expensive_tasks(db.session(), first, last)
    return {
        "period": f"{first}-{last}",
        "label": label,
        "cents": tasks[0].complete_price if tasks else None,
        "tasks": [
            {
                "id": task.id,
                "name": task.name,
                "finished_by_id": task.assigned_to,
                "finished_by_login": task.assignee_login,
            }
            for task in tasks
        ],
    }


def _flow(period: Period) -> dict[str, Any]:
    session = db.session()
    times = queries.finishing_times(session, period.first, period.last)
    days = queries.tasks_by_day(session, period.first, period.last)
    after = queries.tasks_after(session, period.last)
    open_then = times.open_now - after.created + after.finished
    most, least = queries.reshuffled(session, period.first, period.last)
    opened = []
    for row in reversed(days):
        opened.append({"day": row.business_day, "number": open_then})
        open_then += row.finished - row.created
    return {
        "times": times,
        "days": days,
        "opened": opened[::-1],
        "finished": [{"day": row.business_day, "number": row.finished} for row in days],
        "created": [{"day": row.business_day, "number": row.created} for row in days],
        "most": most,
        "least": least,
    }


PARTS: dict[str, Part] = {
    "income": Part(lazy_gettext("Income"), _income),
    "compared": Part(lazy_gettext("Income by this time"), _compared),
    "negative": Part(lazy_gettext("Balances below zero"), _negative),
    "dear": Part(lazy_gettext("The most expensive task"), _dear),
    "flow": Part(lazy_gettext("Tasks"), _flow),
}
# Those that come with the page, and one that another has a place for.
AT_ONCE = ("income", "negative")
WITHIN_OTHERS = ("compared",)


def _asked_period() -> Period:
    """A named period, or one between two days, a year at most; the last 30 days by default."""
    today = business_today()
    if name := request.args.get("period", "").strip():
        period = named_period(name, today=today)
    else:
        default = Period(today - timedelta(days=DEFAULT_DAYS - 1), today)
        period = parse_period(request.args.get("from"), request.args.get("to"), default=default)
    if (period.last - period.first).days > 366:  # noqa: PLR2004 - a leap year and a day
        raise BadInput(fields={"to": "At most a year at a time"})
    return period


def _asked_step() -> PeriodName:
    step = request.args.get("step", "day")
    if step not in get_args(PeriodName):
        raise BadInput(fields={"step": "day, week or month"})
    return cast(PeriodName, step)


def _ends(period: Period) -> dict[str, Any]:
    return {"from": period.first, "to": period.last}


def _part_url(name: str, period: Period, step: PeriodName) -> str:
    return url_for("analytics.part", part=name, **_ends(period), step=step)


def _form(period: Period, page: str, **values: Any) -> dict[str, Any]:
    endpoint = f"analytics.{page}"
    return {
        "action_url": url_for(endpoint, **values),
        "first_day": period.first,
        "last_day": period.last,
        "presets": [
            {
                "label": label,
                "url": url_for(endpoint, **values, **_ends(span)),
                "active": span == period,
            }
            for label, span in presets()
        ],
    }
