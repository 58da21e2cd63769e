"""REST: today's income, negative balances, the most expensive task."""

from __future__ import annotations

from datetime import date
from typing import Any, cast, get_args

from marshmallow import Schema, fields, validate

from app.analytics import queries
from app.analytics.queries import PeriodName
from app.kernel import settings
from app.kernel.db import db
from app.kernel.errors import BadInput
from app.web.access import requires
from app.web.fields import Day, Money, of_query
from app.web.keyset import Cursor, Page, PageQuery, page_of
from app.web.openapi import Blueprint
from app.web.today import business_today

blueprint = Blueprint("analytics_api", __name__, description="Analytics")


class Income(Schema):
    """Assign fees charged less rewards credited on a business day."""

    business_day = fields.Date(required=True)
    income = Money(required=True)
    currency = fields.String(required=True)


class Debt(Schema):
    """An employee whose balance is below zero."""

    user_id = fields.Integer(required=True)
    login = fields.String(required=True)
    balance = Money(required=True)


class Debts(Page):
    """How many balances are below zero now, and a page of them, the largest debt first."""

    count = fields.Integer(required=True)
    items = fields.List(fields.Nested(Debt), required=True)
    currency = fields.String(required=True)


class DebtsQuery(PageQuery):
    """Which page."""

    cursor = Cursor(int, int)


class ExpensiveTask(Schema):
    """A finished task, who finished it, and its reward."""

    id = fields.Integer(required=True)
    ticket_key = fields.String(required=True, allow_none=True)
    name = fields.String(required=True)
    assigned_to = fields.Integer(required=True)
    assignee = fields.String(required=True, attribute="assignee_login")
    finished_at = fields.DateTime(required=True)
    completion_reward = Money(required=True, attribute="complete_price")


class ExpensiveTasks(Schema):
    """The highest reward of a period, null when nothing was finished, and what earned it."""

    first = fields.Date(required=True, data_key="from")
    last = fields.Date(required=True, data_key="to")
    completion_reward = Money(required=True, allow_none=True)
    currency = fields.String(required=True)
    items = fields.List(fields.Nested(ExpensiveTask), required=True)


class PeriodQuery(Schema):
    """Today, this ISO week or this month so far; or business days, both ends included."""

    period = fields.String(validate=validate.OneOf(get_args(PeriodName)))
    from_ = Day(data_key="from")
    to = Day()


@blueprint.get("/analytics/today-income")
@requires("see_analytics")
@blueprint.response(200, Income)
def today_income() -> dict[str, Any]:
    """The company's income of the business day that goes on."""
    today = queries.today_income(db.session())
    return {
        "business_day": today.business_day,
        "income": today.income,
        "currency": settings.current().currency,
    }


@blueprint.get("/analytics/negative-balances")
@requires("see_analytics")
@blueprint.arguments(DebtsQuery, location="query")
@blueprint.response(200, Debts)
def negative_balances(query: dict[str, Any]) -> dict[str, Any]:
    """How many and whose balances are below zero now."""
    session, limit = db.session(), query["limit"]
    rows = queries.negative_balances(session, after=query.get("cursor"), limit=limit)
    return {
        **page_of(rows[:limit], lambda row: (row.balance, row.id), more=len(rows) > limit),
        "count": queries.negative_count(session),
        "currency": settings.current().currency,
    }


@blueprint.get("/analytics/most-expensive-task")
@requires("see_analytics")
@blueprint.arguments(PeriodQuery, location="query")
@blueprint.response(200, ExpensiveTasks)
def show_the_most_expensive_task(query: dict[str, Any]) -> dict[str, Any]:
    """The highest completion reward among the tasks finished in a period, with ties."""
    first, last = _period(query)
    with of_query():
        tasks = queries.most_expensive_tasks(db.session(), first, last)
    return {
        "first": first,
        "last": last,
        "completion_reward": tasks[0].complete_price if tasks else None,
        "currency": settings.current().currency,
        "items": tasks,
    }


def _period(query: dict[str, Any]) -> tuple[date, date]:
    """The named period, or the one between two days; today when neither is given."""
    ends = {
        name: query[field] for name, field in (("from", "from_"), ("to", "to")) if field in query
    }
    if not ends:
        return queries.period_until(business_today(), cast(PeriodName, query.get("period", "day")))
    if "period" in query:
        raise BadInput(fields={"?period": "Give a period by name or by its ends, not both"})
    if len(ends) == 1:
        missing = "to" if "from" in ends else "from"
        raise BadInput(fields={f"?{missing}": "Give both ends of the period"})
    return ends["from"], ends["to"]
