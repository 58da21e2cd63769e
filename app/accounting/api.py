"""REST: balances, transfers, and the closing of business days."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

from flask import Response, jsonify, make_response
from flask.typing import ResponseReturnValue
from marshmallow import Schema, fields

from app.accounting import commands, queries
from app.accounting.queries import LedgerFilter, Period
from app.kernel import settings
from app.kernel.db import db
from app.kernel.periods import MAX_DAYS, MIN_YEAR
from app.web.access import current_actor, requires
from app.web.fields import Day, Money, Number, of_query
from app.web.idempotency import run_repeatable
from app.web.keyset import Cursor, Page, PageQuery, page_of
from app.web.openapi import Blueprint
from app.web.today import business_today

blueprint = Blueprint("accounting_api", __name__, description="Accounts, transfers, payouts")


def _purpose(row: Any) -> str:
    """What a transfer was for, when nobody described it: its task, or the day that was paid."""
    task = f"[{row.ticket_key}] {row.task_name}" if row.ticket_key else row.task_name
    purpose: str = row.description or task or f"Balance of {row.business_day}"
    return purpose


class AccountBalance(Schema):
    """A balance now, and the rewards less the fees of the business day that goes on."""

    balance = Money(required=True)
    currency = fields.String(required=True)
    earned_today = Money(required=True)
    as_of = fields.DateTime(required=True)


class Transfer(Schema):
    """One movement of money on an account; `timestamp` is when its cause occurred.

    `balance_after` is the balance in the order of the list, that is of business days.
    """

    id = fields.Integer(required=True)
    timestamp = fields.DateTime(required=True)
    delta_balance = Money(required=True)
    balance_after = Money(required=True, attribute="running_balance")
    kind = fields.String(required=True)
    description = fields.Function(_purpose, required=True, metadata={"type": "string"})
    task_id = fields.Integer(required=True, allow_none=True)
    event_id = fields.UUID(required=True)


class CompanyTransfer(Transfer):
    """A transfer and whose it is; one that was `late` counts on a day after it occurred.

    `balance_after` is the balance in the order of posting, and never changes.
    """

    balance_after = Money(required=True)
    user_id = fields.Integer(required=True)
    login = fields.String(required=True)
    business_day = fields.Date(required=True)
    recorded_at = fields.DateTime(required=True)
    late = fields.Boolean(required=True)


class TransferPage(Page):
    """Transfers of an account, newest first."""

    items = fields.List(fields.Nested(Transfer), required=True)
    currency = fields.String(required=True)


class CompanyTransferPage(Page):
    """Transfers of all accounts, newest first."""

    items = fields.List(fields.Nested(CompanyTransfer), required=True)
    currency = fields.String(required=True)


class TransfersQuery(PageQuery):
    """Business days, both ends included; an end that is not given is today, or ten years back."""

    from_ = Day(data_key="from")
    to = Day()
    cursor = Cursor(date, int)


class CompanyTransfersQuery(TransfersQuery):
    """The same of all employees, or of one."""

    user_id = Number(1)


class PayoutRequest(Schema):
    """The business day to close; yesterday, when it is not given."""

    business_day = Day()


class PayoutRun(Schema):
    """A closed business day: how many it paid, how much, and whether it was closed before."""

    business_day = fields.Date(required=True)
    paid_count = fields.Integer(required=True)
    paid_total = Money(required=True)
    currency = fields.String(required=True)
    already_closed = fields.Boolean(required=True)


@blueprint.get("/me/balance")
@requires("see_own_account")
@blueprint.response(200, AccountBalance)
def show_balance() -> dict[str, Any]:
    """One's own balance, and what today earned."""
    own = queries.balance_of(db.session(), current_actor().user_id)
    return {
        "balance": own.balance,
        "currency": settings.current().currency,
        "earned_today": own.earned_today,
        "as_of": own.as_of,
    }


@blueprint.get("/me/transfers")
@requires("see_own_account")
@blueprint.arguments(TransfersQuery, location="query")
@blueprint.response(200, TransferPage)
def show_account_transfers(query: dict[str, Any]) -> dict[str, Any]:
    """The transfers of one's own account, newest first."""
    page = queries.statement_page(
        db.session(),
        current_actor().user_id,
        _period(query),
        before=query.get("cursor"),
        limit=query["limit"],
    )
    return _page(page.lines, more=page.has_more)


@blueprint.get("/transfers")
@requires("see_all_transfers")
@blueprint.arguments(CompanyTransfersQuery, location="query")
@blueprint.response(200, CompanyTransferPage)
def show_all_account_transfers(query: dict[str, Any]) -> dict[str, Any]:
    """The transfers of all employees, or of one, newest first."""
    limit = query["limit"]
    wanted = LedgerFilter(period=_period(query), user_id=query.get("user_id"))
    rows = queries.all_transfers(db.session(), wanted, before=query.get("cursor"), limit=limit)
    return _page(rows[:limit], more=len(rows) > limit)


@blueprint.post("/payouts")
@requires("pay_to_workers")
@blueprint.arguments(PayoutRequest, required=False)
@blueprint.response(201, PayoutRun)
@blueprint.alt_response(200, schema=PayoutRun, description="It was closed before")
def pay_to_workers(body: dict[str, date]) -> ResponseReturnValue:
    """Close a business day: pay every positive balance of its end, once."""
    actor = current_actor()

    def close() -> Response:
        run = commands.pay_to_workers(actor, business_day=body.get("business_day"))
        return make_response(
            jsonify(PayoutRun().dump(_run(run))), 200 if run.already_closed else 201
        )

    return run_repeatable(close)


def _run(run: commands.ClosedDay) -> dict[str, Any]:
    return {
        "business_day": run.business_day,
        "paid_count": run.paid_count,
        "paid_total": run.paid_total,
        "currency": settings.current().currency,
        "already_closed": run.already_closed,
    }


def _page(rows: Sequence[Any], *, more: bool) -> dict[str, Any]:
    page = page_of(rows, lambda row: (row.business_day, row.id), more=more)
    return {**page, "currency": settings.current().currency}


def _period(query: dict[str, Any]) -> Period:
    """The period of the query: up to today, and from as far back as a period may go."""
    first, last = query.get("from_"), query.get("to")
    today = business_today()
    last = last or max(today, first or today)
    earliest = max(last.toordinal() - MAX_DAYS, date(MIN_YEAR, 1, 1).toordinal())
    with of_query():
        return Period(first or min(last, date.fromordinal(earliest)), last)
