"""The server is stopped and started again while a page is open: told, and gone on with."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil
import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser
BACK_MS = 60_000  # its start, on a machine that has other work, and a round of asking


def master(system: Any) -> psutil.Process:
    """The web server's first process, which the supervisor starts again."""
    servers = [psutil.Process(pid) for pid in system.pids("gunicorn")]
    pids = {server.pid for server in servers}
    (first,) = [server for server in servers if server.ppid() not in pids]
    return first


@contextmanager
def standing_still(pid: int) -> Iterator[None]:
    """Stop the supervisor meanwhile, which would start the server at once."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_an_open_page_tells_of_a_restart_and_recovers_without_a_reload(visit, system):
    visitor = visit("manager")
    page = visitor.open("/tasks/mine")
    page.evaluate("window.isTheSamePage = true")
    name = page.get_by_role("textbox", name="New task")
    name.fill("Typed before the restart")
    old = master(system)
    told = page.locator("#connection")
    with standing_still(system.process.pid):
        for server in [*old.children(recursive=True), old]:
            os.kill(server.pid, signal.SIGKILL)
        expect(told).to_contain_text("Connection lost")
    expect(told).to_be_empty(timeout=BACK_MS)
    expect(page.locator("#status")).to_have_text("The connection is back.")
    assert master(system).pid != old.pid
    expect(name).to_be_focused()
    expect(name).to_have_value("Typed before the restart")
    page.get_by_role("button", name="Create task").click()
    expect(page.locator("#new .notice")).to_contain_text("Typed before the restart")
    assert page.evaluate("window.isTheSamePage")
    visitor.problems.clear()  # the browser's own words about the requests that failed
