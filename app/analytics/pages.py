"""The administrator's analytics."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import Blueprint, render_template
from flask_babel import LazyString, lazy_gettext

from app.analytics import queries
from app.analytics.queries import PeriodName
from app.kernel.db import db
from app.web.access import requires

blueprint = Blueprint("analytics", __name__)
CHART_DAYS = 30
SHOWN_NEGATIVE = 50
PERIODS: tuple[tuple[PeriodName, LazyString], ...] = (
    ("day", lazy_gettext("Today")),
    ("week", lazy_gettext("This week")),
    ("month", lazy_gettext("This month")),
)


@blueprint.get("/analytics")
@requires("see_analytics")
def index() -> str:
    """Today's income, who is below zero, and the most expensive task by day, week and month."""
    session = db.session()
    today = queries.today_income(session)
    first = today.business_day - timedelta(days=CHART_DAYS - 1)
    days = queries.income_by_day(session, first, today.business_day)
    return render_template(
        "analytics/index.html",
        today={
            "income_cents": today.income,
            "fees_cents": today.fees,
            "rewards_cents": today.rewards,
        },
        negative=_negative(),
        most_expensive=[_most_expensive(name, str(label)) for name, label in PERIODS],
        points=[{"day": row.business_day, "cents": row.income} for row in days],
    )


def _negative() -> dict[str, Any]:
    sums = queries.balance_sums(db.session())
    rows = queries.negative_balances(db.session(), limit=SHOWN_NEGATIVE)
    return {
        "count": sums.negative,
        "account_count": sums.accounts,
        "sum_cents": sums.negative_sum,
        "people": [
            {"user_id": row.user_id, "login": row.login, "balance_cents": row.balance}
            for row in rows[:SHOWN_NEGATIVE]
        ],
    }


def _most_expensive(name: PeriodName, label: str) -> dict[str, Any]:
    first, last = queries.period_around(db.session(), name)
    tasks = queries.most_expensive_tasks(db.session(), first, last)
    return {
        "period": name,
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
