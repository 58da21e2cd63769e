"""Every page of a company with years behind it: how long the server takes, and how often it asks.

Each page is asked for as its reader's browser does; a statement is what goes to PostgreSQL by a
cursor, whoever asks. Nobody else asks for anything meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import psycopg

from bench.pages import PERSON, Reader
from bench.report import Line
from bench.years import ACCOUNTANT, ADMINISTRATOR, Years

WARM_UP = 3
ROUNDS = 40
P95_MS_MAX = 50.0
STATEMENTS_MAX = 10

# By reader; {name} is what Reader.known has of that name.
PAGES: dict[str, tuple[str, ...]] = {
    PERSON: (
        "/tasks/mine",
        "/tasks/mine?state=finished",
        "/tasks/new",
        "/tasks/{own_task}",
        "/account",
        "/notifications",
        "/settings",
    ),
    ADMINISTRATOR: (
        "/tasks",
        "/tasks?state=open",
        "/tasks?q=perch",
        "/tasks?assigned_to={person}",
        "/tasks/{task}",
        "/tasks/reassignment",
        "/tasks/reassignments",
        "/tasks/imports",
        "/analytics",
        "/people",
        "/people/{person}",
        "/system",
        "/system/events",
        "/system/events/{event}",
        "/system/dead-letters",
    ),
    ACCOUNTANT: (
        "/report",
        "/report?user_id={person}",
        "/report?q=perch",
        "/close-day",
        "/payouts/{day}",
        "/accounts/{person}",
        "/transfers/{transfer}",
        "/corrections",
        "/reconciliation",
        "/exports",
        "/mail",
    ),
}
# What a page asks for when it is there already, since it looks at each transfer.
AFTERWARDS = ("/report/sums?q=perch", "/report/sums?kind=assign_fee", "/reconciliation/comparison")


def measure(years: Years) -> list[Line]:
    """A line for each page of the old company, and for what some of them ask for afterwards."""
    with years.stage.web(years.old.database) as app:
        reader = Reader(app, years.old)
        pages = [
            _page(reader, login, path.format_map(reader.known))
            for login, paths in PAGES.items()
            for path in paths
        ]
        later = [_page(reader, ACCOUNTANT, path, is_fragment=True) for path in AFTERWARDS]
        return pages + later


def _page(reader: Reader, login: str, path: str, *, is_fragment: bool = False) -> Line:
    for _ in range(WARM_UP):
        reader.ms(login, path, is_fragment=is_fragment)
    with _counted() as statements:
        took_ms = sorted(reader.ms(login, path, is_fragment=is_fragment) for _ in range(ROUNDS))
    p95_ms, each = took_ms[int(ROUNDS * 0.95) - 1], len(statements) / ROUNDS
    return Line(
        what=f"{login} {path}",
        figure=f"{p95_ms:.1f} ms, {each:g} statements",
        target="" if is_fragment else f"<= {P95_MS_MAX:g} ms, {STATEMENTS_MAX}",
        met=is_fragment or (p95_ms <= P95_MS_MAX and each <= STATEMENTS_MAX),
    )


@contextmanager
def _counted() -> Iterator[list[Any]]:
    """The statements that go through cursors in this process meanwhile."""
    statements: list[Any] = []
    execute = psycopg.Cursor.execute

    def counting(cursor: Any, query: Any, *args: Any, **options: Any) -> Any:
        statements.append(query)
        return execute(cursor, query, *args, **options)

    with patch.object(psycopg.Cursor, "execute", counting):
        yield statements
