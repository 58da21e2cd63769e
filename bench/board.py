"""The board of all tasks: beside an empty page, beside Kanboard, and with a million tasks.

A manager asks for one page after another, each on a connection of its own, gzipped, and waits for
the whole answer. Sides take turns; the best round's median of each counts.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench import kanboard
from bench.clients import HEAD_END
from bench.company import employ
from bench.floor import PATH
from bench.report import Line, at_most
from bench.served import OURS, cookie_of, served
from bench.stage import Connection, Stage

FLOOR = "bench.floor:create_app()"
EMPLOYEES = 200
ROUNDS = 5
WARM_UP = 5
REQUESTS = 20
LIST_TASKS = 3_000
P50_MS_MAX = 7.0
KANBOARD_RATIO_MAX = 0.2
FEW, MANY = 1_000, 1_000_000
GROWTH_MAX = 1.5
# How far down page 500 begins, and the same share of a board of a thousand tasks: its last page.
DEEP = {FEW: FEW - 51, MANY: 499 * 50}

# Tasks with their prices, one in fifty of them open; one in a hundred is by the pond.
FILL = """
WITH made AS (
  INSERT INTO tasks (ticket_key, name, assigned_to, created_by, is_finished, finished_at)
  SELECT 'BENCH-' || n,
         'Mend the ' || (ARRAY['fence', 'gate', 'perch', 'roof'])[1 + n %% 4] || ' number ' || n
           || CASE WHEN n %% 100 = 7 THEN ' by the pond' ELSE '' END,
         people.ids[1 + n %% cardinality(people.ids)], people.ids[1],
         n %% 50 > 0, CASE WHEN n %% 50 > 0 THEN now() END
  FROM (SELECT array_agg(id ORDER BY id) AS ids FROM users WHERE is_assignable) AS people,
       generate_series(1, %s) AS n
  ORDER BY n RETURNING id)
INSERT INTO task_prices SELECT id, 1500, 3000 FROM made
"""
# Other names, so that no row is as a page has had it before.
RENAME = """
UPDATE tasks SET name = 'Mend the fence as of ' || clock_timestamp()
WHERE id IN (SELECT id FROM tasks ORDER BY id DESC LIMIT 50)
"""
NTH = "SELECT id FROM tasks ORDER BY id DESC OFFSET %s LIMIT 1"


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a server, and who asks for it."""

    port: int
    path: str
    cookie: str
    prepare: Callable[[], object] = object

    def ms(self) -> float:
        """How long the whole answer takes, in milliseconds; it is prepared before."""
        self.prepare()
        lines = [
            f"GET {self.path} HTTP/1.1",
            "Host: 127.0.0.1",
            f"Cookie: {self.cookie}",
            "Accept-Encoding: gzip",
            "Accept-Language: en",
            "Connection: close",
        ]
        began = time.perf_counter()
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
            connection.sendall("\r\n".join(lines).encode() + HEAD_END)
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        took_s = time.perf_counter() - began
        assert answer.split(b" ", 2)[1] == b"200", (self.path, answer[:600])
        return took_s * 1000


def measure_list(stage: Stage) -> list[Line]:
    """The first page of a board of 3,000 tasks, beside an empty page, and beside Kanboard's."""
    database = _filled(stage, LIST_TASKS)
    with ExitStack() as stack:
        port, cookie = _open(stack, stage, database, FLOOR)
        pages = {
            "board": Page(port, "/tasks", cookie),
            "floor": Page(port, PATH, cookie),
        }
        if checkout := os.environ.get("KANBOARD"):
            peer = kanboard.served(Path(checkout), stage.folder, tasks=LIST_TASKS, people=EMPLOYEES)
            peer_port, peer_cookie = stack.enter_context(peer)
            pages["kanboard"] = Page(peer_port, kanboard.LIST, peer_cookie)
        found = medians_ms(pages)
        superuser = stack.enter_context(stage.superuser(database))
        changed = Page(port, "/tasks", cookie, lambda: superuser.execute(RENAME))
        found |= medians_ms({"changed": changed})
    stage.drop(database)
    board, floor, peer_ms = found["board"], found["floor"], found.get("kanboard")
    lines = [
        Line(
            what="board of 3,000 tasks, 50 rows, p50",
            figure=f"{board:.1f} ms",
            ratio=board / floor,
            against="empty page",
            target=f"<= {P50_MS_MAX:g} ms",
            met=board <= P50_MS_MAX,
        ),
        Line(
            what="the same, each of its rows changed since, p50",
            figure=f"{found['changed']:.1f} ms",
            ratio=found["changed"] / floor,
            against="empty page",
        ),
        Line(what="empty page of somebody signed in, p50", figure=f"{floor:.1f} ms"),
    ]
    if peer_ms:
        figure, ratio = f"{peer_ms:.1f} ms", board / peer_ms
        what = "Kanboard's list of 3,000 tasks, 30 rows, p50"
        lines.append(
            at_most(KANBOARD_RATIO_MAX, what, figure, ratio=ratio, against="ours to Kanboard")
        )
    return lines


def measure_growth(stage: Stage) -> list[Line]:
    """Pages of a board of a million tasks, each beside the same page with a thousand."""
    databases = {tasks: _filled(stage, tasks) for tasks in (FEW, MANY)}
    with ExitStack() as stack:
        pages = {
            tasks: _pages(*_open(stack, stage, database, OURS), _deep(stage, database, tasks))
            for tasks, database in databases.items()
        }
        found = [
            medians_ms({str(tasks): own[name] for tasks, own in pages.items()})
            for name in pages[FEW]
        ]
    for database in databases.values():
        stage.drop(database)
    return [
        at_most(
            GROWTH_MAX,
            name,
            f"{ms[str(MANY)]:.1f} ms",
            ratio=ms[str(MANY)] / ms[str(FEW)],
            against=f"{ms[str(FEW)]:.1f} ms with {FEW:,}",
        )
        for name, ms in zip(pages[FEW], found, strict=True)
    ]


def medians_ms(pages: dict[str, Page]) -> dict[str, float]:
    """The median of each page's best round, in milliseconds; they take turns."""
    best = dict.fromkeys(pages, float("inf"))
    for _ in range(ROUNDS):
        for name, page in pages.items():
            took_ms = [page.ms() for _ in range(WARM_UP + REQUESTS)]
            best[name] = min(best[name], median(took_ms[WARM_UP:]))
    return best


def _filled(stage: Stage, tasks: int) -> str:
    """A database of a company with that many tasks."""
    database = stage.copy()
    with stage.superuser(database) as connection:
        employ(connection, EMPLOYEES)
        _fill(connection, tasks)
    return database


def _fill(connection: Connection, tasks: int) -> None:
    with connection.transaction():
        # Whom a task is given to exists: half of the time would go into checking it.
        connection.execute("SET LOCAL session_replication_role = replica")
        connection.execute(FILL, [tasks])
    connection.execute("VACUUM ANALYZE")


def _open(stack: ExitStack, stage: Stage, database: str, side: str) -> tuple[int, str]:
    """The port of a server on `database`, and the manager's cookie."""
    with stage.app(database) as app:
        cookie = cookie_of(app, "person-0")
    return stack.enter_context(served(stage, database, side)), cookie


def _deep(stage: Stage, database: str, tasks: int) -> int:
    with stage.superuser(database) as connection:
        row = connection.execute(NTH, [DEEP[tasks]]).fetchone()
        assert row is not None
        return int(row[0])


def _pages(port: int, cookie: str, cursor: int) -> dict[str, Page]:
    """What a manager asks of a board, by name."""
    paths = {
        "first page": "/tasks",
        "page 500, by its cursor": f"/tasks?cursor={cursor}",
        "open tasks": "/tasks?state=open",
        "finished tasks": "/tasks?state=finished",
        "tasks of one person": "/tasks?assigned_to=100",
        "finished tasks of one person": "/tasks?assigned_to=100&state=finished",
        "search, a word of every task": "/tasks?q=mend",
        "search, a word of every 100th": "/tasks?q=pond",
        "search, a key": "/tasks?q=bench-777",
        "search, a word of no task": "/tasks?q=submarine",
        "search, two letters of no word": "/tasks?q=zq",
        "search among open tasks": "/tasks?q=fence&state=open",
    }
    return {name: Page(port, path, cookie) for name, path in paths.items()}
