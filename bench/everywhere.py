"""Every page of a company of a hundred demos: how long the server takes, and how often it asks.

Each page is asked for as its reader's browser does; a statement is what goes to PostgreSQL by a
cursor, whoever asks. Nobody else asks for anything meanwhile. Beside it is the same page of a
company with years behind it; the two take turns.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import psycopg

from app.analytics.pages import PARTS
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
# What a page asks for when it is there already.
AFTERWARDS = (
    (ACCOUNTANT, "/report/sums?q=perch"),
    (ACCOUNTANT, "/report/sums?kind=assign_fee"),
    (ACCOUNTANT, "/reconciliation/comparison"),
    *((ADMINISTRATOR, f"/analytics/{part}") for part in PARTS),
)


def measure(years: Years) -> list[Line]:
    """A line for each page, and for what some of them ask for afterwards."""
    with ExitStack() as stack:
        readers = [
            Reader(stack.enter_context(years.stage.web(history.database)), history)
            for history in (years.hundred_demos, years.old)
        ]
        pages = [_page(readers, login, path) for login, paths in PAGES.items() for path in paths]
        later = [_page(readers, login, path, is_fragment=True) for login, path in AFTERWARDS]
        return pages + later


def _page(readers: list[Reader], login: str, path: str, *, is_fragment: bool = False) -> Line:
    paths = [path.format_map(reader.known) for reader in readers]
    took_ms: list[list[float]] = [[], []]
    with _counted() as statements:
        for _ in range(WARM_UP + ROUNDS):
            for reader, asked, took in zip(readers, paths, took_ms, strict=True):
                took.append(reader.ms(login, asked, is_fragment=is_fragment))
    each = len(statements) / (WARM_UP + ROUNDS) / len(readers)
    p95_ms, old_p95_ms = (sorted(took[WARM_UP:])[int(ROUNDS * 0.95) - 1] for took in took_ms)
    return Line(
        what=f"{login} {path}",
        figure=f"{p95_ms:.1f} ms, {each:.1f} statements",
        ratio=p95_ms / old_p95_ms,
        against=f"{old_p95_ms:.1f} ms with years",
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
