"""Reconciliation: nothing to report on a sound company; each break is listed with what to do."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from app.accounting.queries import Period, named_period
from app.accounting.queries.reconciliation import CHECKS, reconcile
from app.kernel.db import db
from app.payments import commands as payments
from app.tasks import commands as tasks
from embedded.postgres import Cluster
from tests.reports.conftest import MONDAY, Week

PERIOD = named_period("2026-W47", today=MONDAY.date())


@pytest.fixture
def superuser(cluster: Cluster, database: str, week: Week) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(cluster.superuser_url(database), autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        yield connection


def faults(week: Week, period: Period = PERIOD) -> dict[str, list[str]]:
    checks = week.company.call(lambda: reconcile(db.session(), period))
    assert {check.name for check in checks} == set(CHECKS)
    return {
        check.name: sorted({row.fault for row in check.differences})
        for check in checks
        if check.difference_count
    }


def test_a_sound_company_has_no_difference(week: Week) -> None:
    week.company.call(payments.send_due_mail)
    assert faults(week) == {}
    checks = week.company.call(lambda: reconcile(db.session(), PERIOD))
    assert all(check.left == check.right > 0 for check in checks), "both sides are counted"
    for name in ("2026-11-18", "2026-Q4", "month"):
        assert faults(week, named_period(name, today=MONDAY.date())) == {}


BREAKS = {
    "fees missing": (
        (
            "DELETE FROM account_transfers WHERE id = (SELECT min(id) FROM account_transfers t"
            " WHERE kind = 'assign_fee' AND NOT EXISTS (SELECT FROM account_transfers r"
            " WHERE r.reverses_id = t.id))"
        ),
        {"fees": ["missing"], "days": ["day"], "accounts": ["account"]},
    ),
    "fees unfounded": (
        "DELETE FROM logs WHERE id = (SELECT min(id) FROM logs WHERE type = 'assign')",
        {"fees": ["unfounded"]},
    ),
    "rewards unfounded": (
        "DELETE FROM logs WHERE id = (SELECT min(id) FROM logs WHERE type = 'complete')",
        {"rewards": ["unfounded"]},
    ),
    "a payout of another amount": (
        "UPDATE payouts SET amount = amount + 1 WHERE id = (SELECT min(id) FROM payouts)",
        {"payouts": ["transfer"]},
    ),
    "a payout without its row": (
        "DELETE FROM payouts WHERE id = (SELECT max(id) FROM payouts)",
        {"payouts": ["payout"]},
    ),
    "a mail that is gone": (
        "DELETE FROM emails WHERE id = (SELECT min(id) FROM emails WHERE payout_id IS NOT NULL)",
        {"mails": ["mail_none"]},
    ),
    "a mail that failed": (
        (
            "UPDATE emails SET state = 'failed', sent_at = NULL"
            " WHERE id = (SELECT min(id) FROM emails WHERE payout_id IS NOT NULL)"
        ),
        {"mails": ["mail_failed"]},
    ),
    "a day's total": (
        "UPDATE ledger_days SET fees = fees + 1 WHERE business_day = '2026-11-18'",
        {"days": ["day"]},
    ),
    "an account's total": (
        (
            "UPDATE account_days SET corrections = corrections + 1"
            " WHERE (account_id, business_day) = (SELECT min(account_id), '2026-11-18'::date"
            " FROM account_days WHERE business_day = '2026-11-18')"
        ),
        {"accounts": ["account"]},
    ),
}


def test_each_break_is_listed(week: Week, superuser: psycopg.Connection[Any]) -> None:
    week.company.call(payments.send_due_mail)
    for name, (sabotage, expected) in BREAKS.items():
        superuser.execute("BEGIN")
        try:
            assert superuser.execute(sabotage).rowcount == 1, name
            found = _faults_inside(superuser)
        finally:
            superuser.execute("ROLLBACK")
        assert found == expected, name


def _faults_inside(connection: psycopg.Connection[Any]) -> dict[str, list[str]]:
    """The same statements, in the transaction that broke it."""
    names = {"first": PERIOD.first, "last": PERIOD.last, "timezone": "UTC"}
    found = {}
    for check, (_, differences) in CHECKS.items():
        statement = differences
        for name in names:
            statement = statement.replace(f":{name}", f"%({name})s")
        rows = connection.execute(statement, names).fetchall()
        if rows:
            found[check] = sorted({row[0] for row in rows})
    return found


def test_what_waits_or_is_parked_says_so(
    week: Week, make_user: Callable[..., Any], sign_in: Any
) -> None:
    week.company.call(payments.send_due_mail)
    week.company.call(tasks.create_task, week.people[0].actor, name="Not posted yet")
    assert faults(week) == {"fees": ["waiting"]}
    page = (
        sign_in(week.accountant)
        .get("/reconciliation/comparison?period=2026-W47")
        .get_data(as_text=True)
    )
    assert "1 difference." in page
    assert "Not posted yet: wait, it comes by itself." in page
    week.company.post()
    assert faults(week) == {}
    page = (
        sign_in(week.accountant)
        .get("/reconciliation/comparison?period=2026-W47")
        .get_data(as_text=True)
    )
    assert "Everything agrees." in page


def test_the_page_comes_before_its_comparison_which_is_a_page_too(week: Week, sign_in: Any) -> None:
    accountant = sign_in(week.accountant)
    page = accountant.get("/reconciliation?period=2026-W47").get_data(as_text=True)
    url = re.findall(r'hx-get="([^"]+)" hx-trigger="load"', page)[0].replace("&amp;", "&")
    fragment = accountant.get(url, htmx=True).get_data(as_text=True)
    alone = accountant.get(url).get_data(as_text=True)

    assert url == "/reconciliation/comparison?from=2026-11-16&to=2026-11-22"
    assert f'<a href="{url.replace("&", "&amp;")}">' in page
    assert 'id="check-fees"' not in page
    assert fragment.lstrip().startswith('<div id="comparison">')
    assert "<html" not in fragment
    assert fragment.strip() in alone
    assert "hx-trigger" not in alone
