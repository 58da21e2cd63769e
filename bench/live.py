"""Two hundred open pages that ask every three seconds whether something has changed.

Each is "my tasks" of somebody else, and asks with the version that it knows, as static/app.js
does; nothing has changed, so each answer is a 304. Meanwhile a few people go from page to page.
Each request is a connection of its own, since gunicorn does not keep one for three seconds.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from http.client import HTTPConnection, HTTPResponse
from statistics import median, quantiles
from typing import Any

from bench.board import EMPLOYEES, FILL
from bench.company import employ
from bench.report import Line
from bench.served import cookie_of, served
from bench.stage import Stage

PAGES = 200
EVERY_S = 3.0
POLLERS = 8
READERS = 4
PAUSE_S = (0.1, 0.4)
SECONDS = 30.0
P95_MS_MAX = 200.0
TASKS = 20_000
VERSION = "/tasks/mine/version"
READ = ("/tasks/mine", "/account", "/tasks/mine/earnings", "/settings")


def measure(stage: Stage) -> list[Line]:
    """What the other requests take with the pages open and without them."""
    database = stage.copy()
    with stage.superuser(database) as connection:
        employ(connection, EMPLOYEES)
        connection.execute(FILL, [TASKS])
        connection.execute("VACUUM ANALYZE")
    with stage.app(database) as app:
        cookies = [cookie_of(app, f"person-{1 + number}") for number in range(PAGES)]
    with served(stage, database) as port:
        alone = _Evening(port, cookies, pages=0).spend()
        together = _Evening(port, cookies, pages=PAGES).spend()
    stage.drop(database)
    p95, p95_alone = (quantiles(evening.read_ms, n=20)[18] for evening in (together, alone))
    return [
        Line(
            what=f"other requests, {PAGES} pages open, p95",
            figure=f"{p95:.0f} ms, p50 {median(together.read_ms):.0f} ms",
            ratio=p95 / p95_alone,
            against="no page open",
            target=f"<= {P95_MS_MAX:g} ms",
            met=p95 <= P95_MS_MAX,
        ),
        Line(what="other requests, no page open, p95", figure=f"{p95_alone:.0f} ms"),
        Line(
            what="a page's question, p95",
            figure=f"{quantiles(together.asked_ms, n=20)[18]:.0f} ms,"
            f" {len(together.asked_ms) / SECONDS:.0f}/s",
        ),
    ]


class _Evening:
    """SECONDS of some pages that lie open and some people who read."""

    def __init__(self, port: int, cookies: list[str], *, pages: int) -> None:
        self.read_ms: list[float] = []
        self.asked_ms: list[float] = []
        self._port = port
        self._cookies = cookies
        self._pages = pages
        self._ends_at = 0.0
        self._failed: list[BaseException] = []

    def spend(self) -> _Evening:
        """Let it pass. Raises what went wrong in it."""
        known = [self._known(cookie) for cookie in self._cookies[: self._pages]]
        self._ends_at = time.perf_counter() + SECONDS
        pollers = [
            threading.Thread(target=self._guarded, args=(self._poll, known[number::POLLERS]))
            for number in range(POLLERS if known else 0)
        ]
        readers = [
            threading.Thread(target=self._guarded, args=(self._read, cookie))
            for cookie in self._cookies[:READERS]
        ]
        for thread in (*pollers, *readers):
            thread.start()
        for thread in (*pollers, *readers):
            thread.join()
        if self._failed:
            raise self._failed[0]
        expected = self._pages * (SECONDS / EVERY_S - 1)
        assert len(self.asked_ms) >= expected, "the pages could not ask as often as they do"
        return self

    def _guarded(self, work: Callable[..., None], *words: Any) -> None:
        try:
            work(*words)
        except BaseException as error:  # noqa: BLE001 - told by the thread that waits
            self._failed.append(error)

    def _known(self, cookie: str) -> tuple[str, str]:
        answer, _ = self._get(VERSION, cookie)
        assert answer.status == 200, answer.status
        return cookie, answer.headers["ETag"]

    def _poll(self, known: list[tuple[str, str]]) -> None:
        begins = time.perf_counter()
        turn = 0
        while True:
            cookie, version = known[turn % len(known)]
            due = begins + turn * EVERY_S / len(known)
            if due > self._ends_at:
                return
            time.sleep(max(0.0, due - time.perf_counter()))
            answer, took_ms = self._get(VERSION, cookie, version)
            assert answer.status == 304, answer.status
            self.asked_ms.append(took_ms)
            turn += 1

    def _read(self, cookie: str) -> None:
        while time.perf_counter() < self._ends_at:
            answer, took_ms = self._get(random.choice(READ), cookie)
            assert answer.status == 200, answer.status
            self.read_ms.append(took_ms)
            time.sleep(random.uniform(*PAUSE_S))

    def _get(self, path: str, cookie: str, version: str = "") -> tuple[HTTPResponse, float]:
        headers = {"Cookie": cookie, "Accept-Encoding": "gzip", "If-None-Match": version}
        began = time.perf_counter()
        connection = HTTPConnection("127.0.0.1", self._port, timeout=30)
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        answer.read()
        took_s = time.perf_counter() - began
        connection.close()
        return answer, took_s * 1000
