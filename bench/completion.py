"""Completing tasks over HTTP, beside a view that does the same SQL by hand (see bare_view).

Both run under the gunicorn of `bin/run`, with its settings; 8 clients, each an employee who
completes own tasks one after another. No worker runs meanwhile, on either side.
"""

from __future__ import annotations

import time
from statistics import median, quantiles

from bench.clients import drive, request
from bench.company import employ, give_tasks
from bench.report import Line, at_least
from bench.served import OURS, served
from bench.stage import Connection, Stage

CLIENTS = 8
WARM_UP = 40
REQUESTS = 400
ROUNDS = 3
BARE = "bench.bare_view:create_app()"

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
    with stage.superuser(database) as connection, served(stage, database, side) as port:
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
