"""Long work is watched: a page that survives a reload, renews itself and ends; also unscripted."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.visitors import look_again_until

pytestmark = pytest.mark.browser
BAD = "Summary,Issue key\nFeed the bird,LW-1\n,LW-2\n"
GOOD = "Summary,Issue key\nFeed the long-awaited bird,LW-1\nPaint the perch,LW-2\n"
EVERYTHING = re.compile("^All .* posted|^One fee is posted")


@pytest.fixture
def frozen(system: Any) -> Callable[[], Any]:
    """Makes contexts in which the system's worker stands still, so that nothing is posted."""

    @contextmanager
    def frozen() -> Iterator[None]:
        pids = system.pids("worker.py")
        assert pids
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    return frozen


def choose(page: Page, content: str, name: str = "backlog.csv") -> None:
    file = {"name": name, "mimeType": "text/csv", "buffer": content.encode()}
    page.get_by_label("CSV file").set_input_files(file)
    page.get_by_role("button", name="Look at what is in it").click()


def test_a_reassignment_is_watched_through_a_reload_to_its_end(visit, frozen):
    visitor = visit("manager")
    page = visitor.open("/tasks/reassignment")
    with frozen():
        page.get_by_role("button", name=re.compile("^Reassign")).click()
        expect(page.locator("h1")).to_contain_text("reassigned")
        bar = page.get_by_role("progressbar", name="Fees posted to the ledger")
        expect(bar).to_have_attribute("value", "0")
        assert visitor.barriers() == []
        with page.expect_response(re.compile("/tasks/reassignments/")):
            pass  # it asks again by itself
        page.reload()
        expect(bar).to_have_attribute("value", "0")
    expect(page.locator("#status")).to_have_text(EVERYTHING)
    expect(page.locator("[data-progress]")).to_have_count(0)
    expect(page.get_by_role("heading", name="Who got how many")).to_be_visible()
    expect(bar).to_have_count(0)
    assert visitor.barriers() == []


def test_a_backlog_is_uploaded_corrected_imported_and_watched(visit, rows):
    visitor = visit("manager")
    page = visitor.open("/tasks")
    page.get_by_role("link", name="Import tasks").click()
    choose(page, "Title\nx\n")
    expect(page.get_by_label("CSV file")).to_be_focused()
    expect(page.get_by_label("CSV file")).to_have_accessible_description(
        re.compile("No column Summary")
    )
    assert visitor.barriers() == []
    choose(page, BAD, "bad.csv")
    expect(page.get_by_role("alert").first).to_contain_text("One row is not right")
    expect(page.get_by_role("row", name="3 Summary Give the task a name")).to_be_visible()
    assert visitor.barriers() == []
    page.get_by_role("link", name="Choose another file").click()
    choose(page, GOOD)
    expect(page.locator(".tiles")).to_contain_text("Tasks")
    page.reload()
    assert visitor.barriers() == []
    page.get_by_role("button", name="Import 2 tasks").dblclick()
    expect(page.locator("h1")).to_have_text("2 tasks were imported")
    expect(page.get_by_role("heading", name="Who got how many")).to_be_visible()
    assert rows("SELECT count(*) FROM tasks WHERE ticket_key IN ('LW-1', 'LW-2')") == [(2,)]


def test_it_goes_on_without_javascript(visit, frozen):
    page = visit("manager2", scripts=False).open("/tasks/imports")
    choose(page, "Summary\nImported without scripts\n")
    with frozen():
        page.get_by_role("button", name="Import one task").click()
        expect(page.locator("h1")).to_have_text("One task was imported")
        expect(page.locator("#posting-words")).to_have_text("0 of 1 posted")
    look_again_until(page, page.locator("#posting-words", has_text="1 of 1 posted"))


def test_a_server_that_does_not_answer_is_told_and_then_gone_on_with(visit, frozen):
    visitor = visit("manager")
    page = visitor.open("/tasks/reassignment")
    with frozen():
        page.get_by_role("button", name=re.compile("^Reassign")).click()
        expect(page.locator("[data-progress]")).to_be_visible()
        page.route("**/tasks/reassignments/*", lambda route: route.fulfill(status=503, body=""))
        told = page.locator("#connection")
        expect(told).not_to_be_empty()
        page.unroute("**/tasks/reassignments/*")
    expect(page.get_by_role("heading", name="Who got how many")).to_be_visible(timeout=15_000)
    expect(told).to_be_empty()
    visitor.problems[:] = [one for one in visitor.problems if "status of 503" not in one]


def test_too_large_a_file_is_told_as_a_page(visit):
    page = visit("manager").open("/tasks/imports")
    choose(page, "Summary\n" + "x" * 6 * 1024 * 1024)
    expect(page.locator("h1")).to_have_text("That is too large")
    expect(page.locator("main")).to_contain_text("at most 5 MB")
