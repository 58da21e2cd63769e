"""Completing tasks over HTTP, beside a view that does the same SQL by hand (see bare_view).

Both run under the gunicorn of `bin/run`, with its settings; 8 clients, each an employee who
completes own tasks one after another. No worker runs meanwhile, on either side.
"""

from __future__ import annotations

import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median, quantiles

from bench.clients import drive, request
from bench.company import employ, give_tasks
from bench.report import Line, at_least
from bench.stage import Connection, Stage
from embedded.process import Process
from embedded.programs import programs

CLIENTS = 8
WARM_UP = 40
REQUESTS = 400
ROUNDS = 3
READY_TIMEOUT_S = 30.0
OURS, BARE = "app:create_app()", "bench.bare_view:create_app()"

GIVE_TOKENS = """
INSERT INTO api_tokens (token_hash, user_id, name, expires_at, last_used_at)
SELECT sha256(convert_to('token-of-' || login || '-for-measuring', 'UTF8')), id, 'bench',
       now() + interval '1 day', now()
FROM users WHERE role = 'developer'
"""
TASKS = """
SELECT array_agg(t.id ORDER BY t.id) FROM tasks t JOIN users u ON u.id = t.assigned_to
WHERE u.login = %s
"""


def measure(stage: Stage) -> list[Line]:
    """Requests a second and latencies of both sides, in turn."""
    template = stage.copy()
    with stage.superuser(template) as connection:
        employ(connection, CLIENTS)
        give_tasks(connection, tasks=CLIENTS * (WARM_UP + REQUESTS), employees=CLIENTS)
        connection.execute(GIVE_TOKENS)
        connection.execute("VACUUM ANALYZE")
    runs: dict[str, list[tuple[float, list[float]]]] = {OURS: [], BARE: []}
    for _ in range(ROUNDS):
        for side in (BARE, OURS):
            runs[side].append(_run(stage, template, side))
    stage.drop(template)
    best = {side: max(runs[side]) for side in runs}
    figures = {side: _figure(*best[side]) for side in best}
    ratio = best[OURS][0] / best[BARE][0]
    return [
        at_least(0.5, "complete_task", figures[OURS], ratio=ratio, against="bare view"),
        Line(what="bare view", figure=figures[BARE]),
    ]


def _figure(rate: float, latencies_s: list[float]) -> str:
    p99 = quantiles(latencies_s, n=100)[98]
    return f"{rate:,.0f}/s, p50 {median(latencies_s) * 1000:.1f} ms, p99 {p99 * 1000:.1f} ms"


def _run(stage: Stage, template: str, side: str) -> tuple[float, list[float]]:
    """Requests a second, and the seconds that each took."""
    database = stage.copy(template)
    with stage.superuser(database) as connection, _served(stage, database, side) as port:
        work = [_requests_of(connection, number) for number in range(1, CLIENTS + 1)]
        drive(port, [requests[:WARM_UP] for requests in work])
        began = time.perf_counter()
        took_s = drive(port, [requests[WARM_UP:] for requests in work])
        elapsed_s = time.perf_counter() - began
        done = connection.execute("SELECT count(*) FROM outbox").fetchone()
        assert done == (CLIENTS * (WARM_UP + REQUESTS),), done
    stage.drop(database)
    return len(took_s) / elapsed_s, took_s


def _requests_of(connection: Connection, number: int) -> list[bytes]:
    login = f"person-{number}"
    row = connection.execute(TASKS, [login]).fetchone()
    assert row is not None
    token = f"token-of-{login}-for-measuring"
    return [request(f"/api/v1/tasks/{task_id}/completion", token) for task_id in row[0]]


@contextmanager
def _served(stage: Stage, database: str, side: str) -> Iterator[int]:
    """The port of gunicorn with the settings of bin/run, serving `side` on `database`."""
    port = _free_port()
    web, *_ = programs(port, logs=stage.logs, env=stage.env(database))
    command = [side if word == OURS else word for word in web.command]
    assert side in command
    server = Process("web", command, log=web.log, env=web.env, cwd=web.cwd)
    server.start()
    try:
        _wait_until_ready(port, server)
        yield port
    finally:
        server.stop()


def _wait_until_ready(port: int, server: Process) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < deadline and server.is_running():
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
                return
        except (OSError, urllib.error.HTTPError):
            time.sleep(0.1)
    raise AssertionError(f"not ready: {server.last_words('Error')}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
