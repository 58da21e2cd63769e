"""Reconciliation of any period, for accountants."""

from __future__ import annotations

from flask import Response

from app.accounting.pages import blueprint
from app.accounting.pages.period import asked_period, period_form
from app.accounting.queries import LedgerFilter
from app.accounting.queries.reconciliation import reconcile
from app.kernel.db import db
from app.web import htmx
from app.web.access import requires

# Each transfer of the period is looked at.
DAYS = 7


@blueprint.get("/reconciliation")
@requires("see_all_transfers")
def reconciliation() -> Response:
    """What has to be equal, both sides counted, and each difference with what to do about it."""
    period = asked_period(days=DAYS)
    checks = reconcile(db.session(), period)
    return htmx.page(
        "accounting/reconciliation.html",
        period=period_form("accounting.reconciliation", LedgerFilter(period=period)),
        checks=checks,
        difference_count=sum(check.difference_count for check in checks),
    )
