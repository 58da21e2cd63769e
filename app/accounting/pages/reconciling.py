"""Reconciliation of any period, for accountants."""

from __future__ import annotations

from typing import Any

from flask import Response, url_for

from app.accounting.pages import blueprint
from app.accounting.pages.period import asked_period, period_form
from app.accounting.queries import LedgerFilter, Period
from app.accounting.queries.reconciliation import reconcile
from app.kernel.db import db
from app.web import htmx
from app.web.access import requires
from app.web.filters import kept_without_errors

# Each transfer of the period is looked at.
DAYS = 7


@blueprint.get("/reconciliation")
@requires("see_all_transfers")
@kept_without_errors
def reconciliation() -> Response:
    """The period, at once; what is compared in it comes after, since that takes its time."""
    return htmx.page("accounting/reconciliation.html", **_around(asked_period(days=DAYS)))


@blueprint.get("/reconciliation/comparison")
@requires("see_all_transfers")
@kept_without_errors
def comparison() -> Response:
    """What has to be equal, both sides counted, and each difference with what to do about it.

    In its place on the page, or as a page of its own where no script asks for it.
    """
    period = asked_period(days=DAYS)
    checks = reconcile(db.session(), period)
    return htmx.page(
        "accounting/reconciliation.html",
        "accounting/_comparison.html",
        checks=checks,
        difference_count=sum(check.difference_count for check in checks),
        **_around(period),
    )


def _around(period: Period) -> dict[str, Any]:
    ends: dict[str, Any] = {"from": period.first, "to": period.last}
    return {
        "period": period_form("accounting.reconciliation", LedgerFilter(period=period)),
        "comparison_url": url_for("accounting.comparison", **ends),
    }
