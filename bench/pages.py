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
PERSON, PROGRAM = "person-7", "program"

# What pages are about: transfers from the middle of the ledger, and of a person's account.
KNOWN = sql("""
SELECT a.user_id AS person, middle.id AS transfer,
       middle.business_day || '_' || middle.id AS middle,
       own.business_day || '_' || own.id AS own_middle,
       own.task_id AS own_task,
       (SELECT max(task_id) FROM logs WHERE type = 'complete') AS task,
       (SELECT max(day) FROM business_days WHERE status = 'closed') AS day,
       (SELECT event_id FROM outbox ORDER BY id DESC LIMIT 1) AS event
FROM accounts a
CROSS JOIN LATERAL (
  SELECT t.id, t.business_day FROM account_transfers t
  WHERE t.id >= (SELECT max(id) / 2 FROM account_transfers) ORDER BY t.id LIMIT 1) AS middle
CROSS JOIN LATERAL (
  SELECT t.id, t.business_day, t.task_id FROM account_transfers t
  WHERE t.owner_account_id = a.id AND t.account_version >= a.version / 2
    AND t.task_id IS NOT NULL ORDER BY t.account_version LIMIT 1) AS own
WHERE a.user_id = :user_id
""")


def measure(years: Years) -> list[Line]:
    """A line for each page, and for the two sums that an administrator looks at all day."""
    with ExitStack() as stack:
        readers = [
            Reader(stack.enter_context(years.stage.web(history.database)), history)
            for history in (years.young, years.old)
        ]
        asked = [_pages(**reader.known) for reader in readers]
        pages = [_page(name, readers, asked) for name in asked[0]]
    return [*pages, *_sums(years.stage, years.old.database)]


class Reader:
    """The people and the program who read a company's pages, signed in.

    `known` names what pages can be about: a person, a task, a transfer in the middle and so on.
    """

    def __init__(self, app: Flask, history: History) -> None:
        with app.app_context():
            session: Any = db.session()
            logins = (ACCOUNTANT, ADMINISTRATOR, PERSON)
            ids = {login: actor_named(session, login).user_id for login in logins}
            row = session.execute(KNOWN, {"user_id": ids[PERSON]}).one()
            self.known: dict[str, Any] = {"today": history.today, **row._mapping}  # noqa: SLF001 - the documented name
            sessions = {login: open_session(ids[login], user_agent="bench") for login in ids}
            token = issue_token(None, user_id=ids[ACCOUNTANT], name="bench", lifetime=timedelta(1))
            db.session.remove()
        self._clients = {login: app.test_client() for login in ids}
        for login, session_id in sessions.items():
            with self._clients[login].session_transaction() as cookie:
                cookie["_user_id"] = session_id
        self._clients[PROGRAM] = app.test_client(use_cookies=False)
        self._bearer = {"Authorization": f"Bearer {token.token}"}

    def ms(self, login: str, url: str, *, is_fragment: bool = False) -> float:
        """How long the answer takes, in milliseconds."""
        headers = self._bearer if login == PROGRAM else FRAGMENT if is_fragment else {}
        began = time.perf_counter()
        answer = self._clients[login].get(url, headers=headers)
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


def _pages(
    *, today: date, person: int, transfer: int, middle: str, own_middle: str, **_: Any
) -> dict[str, tuple[str, str]]:
    """By name who asks for a page, and its address."""
    week = {"from": today - timedelta(7), "to": today - timedelta(1)}
    first_week = {"from": FIRST_DAY, "to": FIRST_DAY + timedelta(6)}
    ever = {"from": FIRST_DAY, "to": today}

    def accountant(path: str, **words: Any) -> tuple[str, str]:
        return ACCOUNTANT, f"{path}?{urlencode(words)}"

    return {
        "report, a week": accountant("/report", **week),
        "report, the first week": accountant("/report", **first_week),
        "report, 30 days": accountant("/report"),
        "report, a day": accountant("/report", period=week["to"]),
        "report, a week, rewards": accountant("/report/sums", kind="completion_reward", **week),
        "report, a week, words": accountant("/report/sums", q="perch 77", **week),
        "report, a week, one person": accountant("/report", user_id=person, **week),
        "report, a page in the middle of the ledger": accountant("/report", cursor=middle, **ever),
        "transfers by the API": (PROGRAM, "/api/v1/transfers"),
        "statement, a week": accountant(f"/accounts/{person}", **week),
        "statement, 30 days": accountant(f"/accounts/{person}"),
        "statement, a page in the middle": accountant(
            f"/accounts/{person}", cursor=own_middle, **ever
        ),
        "my account": (PERSON, "/account"),
        "reconciliation, a week": accountant("/reconciliation/comparison", **week),
        "close the day": accountant("/close-day"),
        "payout run": accountant(f"/payouts/{week['to']}"),
        "payout run, the first": accountant(f"/payouts/{FIRST_DAY}"),
        "a transfer": accountant(f"/transfers/{transfer}"),
        "mails": accountant("/mail"),
        **{
            f"analytics, {part}": (ADMINISTRATOR, f"/analytics/{part}?{urlencode(week)}")
            for part in PARTS
        },
    }


def _page(name: str, readers: list[Reader], asked: list[dict[str, tuple[str, str]]]) -> Line:
    took_ms: list[list[float]] = [[], []]
    for number in range(WARM_UP + ROUNDS):
        for reader, pages, took in zip(readers, asked, took_ms, strict=True):
            ms = reader.ms(*pages[name], is_fragment=name in FRAGMENTS)
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
