"""Every page asks the database few questions: at most ten statements, whatever it shows.

Counted at psycopg's cursor, with the session's own look-up, its "seen now", and the look at
whether changes are stopped.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from flask import Flask
from sqlalchemy import text

from app.accounting import commands as accounting
from app.accounting.queries import LedgerFilter, Period
from app.analytics.pages import PARTS
from app.auth.commands.invitations import invite_to_reset_password
from app.guardian.commands import check_increment
from app.kernel.db import db
from app.payments.commands import send_due_mail
from app.tasks import commands as tasks
from app.web import stopped
from tests.company import company
from tests.conftest import Browser, User
from tests.reports.conftest import MONDAY, Week, week

__all__ = ["company", "week"]

AT_MOST = 10
OWN_TASKS = re.compile(r"/tasks/(mine|new|\{task_id\})(/.*)?")
# Who opens a page, by its address; everything else is an employee's.
READERS = {
    "accountant": "/(report|balances|accounts|transfers|corrections|close-day|payouts"
    "|reconciliation|exports|mail)",
    "administrator": "/(analytics|people|system|mailbox|tasks)",
    "nobody": "/(sign-in|register|invitations)",
}
# Other periods and filters of a page, and further pages of its list.
MORE = {
    "/report": (
        "/report?period=2026-11-18",
        "/report?from=2026-11-16&to=2026-11-20&q=bird&kind=assign_fee",
        "/report?period=2026-11-20&user_id={user_id}",
        "/report?cursor=2026-11-19_40",
    ),
    "/account": ("/account?period=2026-Q4", "/account?cursor=2026-11-19_40"),
    "/accounts/{user_id}": ("/accounts/{user_id}?period=2026-Q4",),
    "/analytics/{part}": tuple(f"/analytics/{name}?period=month&step=week" for name in PARTS),
    "/tasks": ("/tasks?q=bird&state=finished",),
    "/tasks/mine": ("/tasks/mine?cursor=20",),
    "/mail": ("/mail?state=sent", "/mail?cursor=5"),
}
STALE = text("UPDATE sessions SET last_seen_at = now() - interval '2 minutes'")
OWN_TASK = "SELECT min(id) FROM tasks WHERE assigned_to = :user_id"


@pytest.fixture
def statements_of(
    app: Flask, week: Week, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Browser, str], list[str]]:
    """Says what opening an address costs in statements, when nothing is fresh in memory."""
    seen: list[str] = []
    execute = psycopg.Cursor.execute

    def noted(cursor: Any, query: Any, *arguments: Any, **options: Any) -> Any:
        seen.append(query.decode() if isinstance(query, bytes) else str(query))
        return execute(cursor, query, *arguments, **options)

    monkeypatch.setattr(psycopg.Cursor, "execute", noted)

    def ask(browser: Browser, url: str) -> list[str]:
        week.company.session.execute(STALE)
        with app.app_context():
            stopped.forget()
        seen.clear()
        answer = browser.get(url)
        assert answer.status_code == 200 or url == "/", (url, answer.status_code)
        return list(seen)

    return ask


@pytest.fixture
def administrator(make_user: Callable[..., User]) -> User:
    return make_user("administrator")


@pytest.fixture
def known(week: Week, call: Callable[..., Any], administrator: User) -> dict[str, Any]:
    """What stands for each variable of an address: the id of something that is there."""
    call(send_due_mail)
    call(check_increment)
    wanted = LedgerFilter(period=Period(MONDAY.date(), MONDAY.date()))
    export_id = call(accounting.request_export, week.accountant.actor, wanted, format="csv")
    call(accounting.make_exports)
    import_id = call(
        tasks.upload_backlog,
        administrator.actor,
        file_name="backlog.csv",
        content=b"Summary\nOil it\n",
    )
    reassigned = call(tasks.reassign_tasks, administrator.actor)
    ask, user_id = week.company.value, week.people[0].id
    return {
        "day": "2026-11-18",
        "event_id": ask("SELECT event_id FROM account_transfers ORDER BY id LIMIT 1"),
        "export_id": export_id,
        "import_id": import_id,
        "reassignment_id": reassigned.id,
        "name": next((week.company.settings.data_dir / "mail").glob("payout-*.eml")).name,
        "part": "income",
        "task_id": ask(OWN_TASK, user_id=user_id),
        "token": call(invite_to_reset_password, None, user_id=week.second.id),
        "transfer_id": ask("SELECT min(transfer_id) FROM corrections"),
        "user_id": user_id,
    }


def test_no_page_makes_more_than_ten_statements(
    app: Flask,
    week: Week,
    known: dict[str, Any],
    administrator: User,
    sign_in: Callable[[User], Browser],
    anonymous: Browser,
    statements_of: Callable[[Browser, str], list[str]],
) -> None:
    browsers = {
        "accountant": sign_in(week.accountant),
        "administrator": sign_in(administrator),
        "employee": sign_in(week.people[0]),
        "nobody": anonymous,
    }
    cost = {}
    for page in sorted(_pages(app)):
        for url in (page, *MORE.get(page, ())):
            address = url.format(**known)
            cost[address] = len(statements_of(browsers[_reader_of(page)], address))
    assert {url: count for url, count in cost.items() if count > AT_MOST} == {}
    assert min(cost[url] for url in ("/tasks/mine", "/report", "/analytics")) >= 3, "it counts"


def test_a_page_that_asks_more_is_seen(
    app: Flask, week: Week, sign_in: Callable[[User], Browser], statements_of: Callable[..., Any]
) -> None:
    def chatty() -> str:
        for _ in range(AT_MOST):
            db.session.execute(text("SELECT 1"))
        return ""

    app.view_functions["accounting.mine"] = chatty
    assert len(statements_of(sign_in(week.people[0]), "/account")) > AT_MOST


def _reader_of(page: str) -> str:
    """Whose the page is."""
    first = {name for name, pages in READERS.items() if re.fullmatch(rf"{pages}([/.].*)?", page)}
    return "employee" if OWN_TASKS.fullmatch(page) or not first else first.pop()


def _pages(app: Flask) -> set[str]:
    """The addresses of all pages, `<int:task_id>` as `{task_id}`."""
    return {
        re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
        for rule in app.url_map.iter_rules()
        if "GET" in (rule.methods or ())
        and not rule.rule.startswith(("/static/", "/api/v1", "/metrics"))
    }
