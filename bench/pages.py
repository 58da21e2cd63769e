"""Reports and statements of an old company, beside the same pages when it was young.

Both had 1,000 employees and the same business each day; a page is asked for the same number of
business days of both. They take turns in this process, and the best round of each counts. What is
timed is the whole answer, as a browser or a program gets it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import date, timedelta
from typing import Any
from urllib.parse import urlencode

from flask import Flask
from sqlalchemy.orm import Session

from app.analytics import queries as analytics
from app.analytics.pages import PARTS
from app.auth.actors import actor_named
from app.auth.commands import issue_token, open_session
from app.kernel.db import db, sql
from bench.report import Line, at_most
from bench.stage import Stage
from bench.years import ACCOUNTANT, ADMINISTRATOR, FIRST_DAY, History, Years

ROUNDS = 9
WARM_UP = 2
RATIO_MAX = 1.5
SQL_ROUNDS = 50
SQL_MS_MAX = 5.0
PERSON = "person-7"

# A transfer from the middle of the ledger, and one of a person's.
MIDDLE = sql("""
SELECT id, business_day FROM account_transfers
WHERE id >= (SELECT max(id) / 2 FROM account_transfers) ORDER BY id LIMIT 1
""")
MIDDLE_OF = sql("""
SELECT t.id, t.business_day FROM account_transfers t
JOIN accounts a ON a.id = t.owner_account_id AND a.user_id = :user_id
WHERE t.account_version = a.version / 2
""")


def measure(years: Years) -> list[Line]:
    """A line for each page, and for the two sums that an administrator looks at all day."""
    with ExitStack() as stack:
        readers = [
            Reader(stack.enter_context(years.stage.web(history.database)), history)
            for history in (years.young, years.old)
        ]
        pages = [_page(name, readers) for name in readers[0].pages]
    return [*pages, *_sums(years.stage, years.old.database)]


class Reader:
    """Those who read a company's pages, signed in; `pages` says who asks for what, by name."""

    def __init__(self, app: Flask, history: History) -> None:
        with app.app_context():
            session: Any = db.session()
            logins = (ACCOUNTANT, ADMINISTRATOR, PERSON)
            ids = {login: actor_named(session, login).user_id for login in logins}
            middle = session.execute(MIDDLE).one()
            own = session.execute(MIDDLE_OF, {"user_id": ids[PERSON]}).one()
            sessions = {login: open_session(ids[login], user_agent="bench") for login in ids}
            token = issue_token(None, user_id=ids[ACCOUNTANT], name="bench", lifetime=timedelta(1))
            db.session.remove()
        self._clients = {login: app.test_client() for login in ids}
        for login, session_id in sessions.items():
            with self._clients[login].session_transaction() as cookie:
                cookie["_user_id"] = session_id
        self._api = app.test_client(use_cookies=False)
        self._bearer = {"Authorization": f"Bearer {token.token}"}
        self.pages = _pages(history.today, ids[PERSON], middle, own)

    def ms(self, name: str) -> float:
        """How long the answer takes, in milliseconds."""
        login, url = self.pages[name]
        if login == "program":
            client, headers = self._api, self._bearer
        else:
            client, headers = self._clients[login], FRAGMENT if name in FRAGMENTS else {}
        began = time.perf_counter()
        answer = client.get(url, headers=headers)
        content = answer.get_data()
        took_s = time.perf_counter() - began
        assert answer.status_code == 200, (url, answer.status_code, content[:300])
        return took_s * 1000


FRAGMENT = {"HX-Request": "true"}
FRAGMENTS = {
    "report, a page in the middle of the ledger",
    "statement, a page in the middle",
    *(f"analytics, {part}" for part in PARTS),
}


def _pages(today: date, person: Any, middle: Any, own: Any) -> dict[str, tuple[str, str]]:
    """By name who asks for a page, and its address."""
    week = {"from": today - timedelta(7), "to": today - timedelta(1)}
    first_week = {"from": FIRST_DAY, "to": FIRST_DAY + timedelta(6)}
    ever = {"from": FIRST_DAY, "to": today}
    before = f"{middle.business_day}_{middle.id}"
    own_before = f"{own.business_day}_{own.id}"

    def accountant(path: str, **words: Any) -> tuple[str, str]:
        return ACCOUNTANT, f"{path}?{urlencode(words)}"

    return {
        "report, a week": accountant("/report", **week),
        "report, the first week": accountant("/report", **first_week),
        "report, 30 days": accountant("/report"),
        "report, a day": accountant("/report", period=week["to"]),
        "report, a week, rewards": accountant("/report", kind="completion_reward", **week),
        "report, a week, words": accountant("/report", q="perch 77", **week),
        "report, a week, one person": accountant("/report", user_id=person, **week),
        "report, a page in the middle of the ledger": accountant("/report", cursor=before, **ever),
        "transfers by the API": ("program", "/api/v1/transfers"),
        "statement, a week": accountant(f"/accounts/{person}", **week),
        "statement, 30 days": accountant(f"/accounts/{person}"),
        "statement, a page in the middle": accountant(
            f"/accounts/{person}", cursor=own_before, **ever
        ),
        "my account": (PERSON, "/account"),
        "reconciliation, a week": accountant("/reconciliation", **week),
        "close the day": accountant("/close-day"),
        "payout run": accountant(f"/payouts/{week['to']}"),
        "payout run, the first": accountant(f"/payouts/{FIRST_DAY}"),
        "a transfer": accountant(f"/transfers/{middle.id}"),
        "mails": accountant("/mail"),
        **{
            f"analytics, {part}": (ADMINISTRATOR, f"/analytics/{part}?{urlencode(week)}")
            for part in PARTS
        },
    }


def _page(name: str, readers: list[Reader]) -> Line:
    took_ms: list[list[float]] = [[], []]
    for number in range(WARM_UP + ROUNDS):
        for reader, took in zip(readers, took_ms, strict=True):
            ms = reader.ms(name)
            if number >= WARM_UP:
                took.append(ms)
    young, old = map(min, took_ms)
    return at_most(RATIO_MAX, name, f"{old:.1f} ms", ratio=old / young, against=f"{young:.1f} ms")


def _sums(stage: Stage, database: str) -> list[Line]:
    with stage.app(database):
        session = db.session()
        return [
            _sql("today's income, SQL", lambda: analytics.today_income(session)),
            _sql("negative balances, SQL", lambda: _negative(session)),
        ]


def _negative(session: Session) -> None:
    assert analytics.negative_count(session) > 0
    analytics.negative_balances(session)


def _sql(what: str, ask: Callable[[], object]) -> Line:
    took_ms = []
    for _ in range(SQL_ROUNDS):
        began = time.perf_counter()
        ask()
        took_ms.append((time.perf_counter() - began) * 1000)
    best = min(took_ms)
    return Line(
        what=what,
        figure=f"{best:.1f} ms",
        target=f"<= {SQL_MS_MAX:g} ms",
        met=best <= SQL_MS_MAX,
    )
