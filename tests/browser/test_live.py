"""What others do shows by itself, without moving anything under the reader."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser


def test_a_task_given_or_taken_by_somebody_else_is_told(visit, busy):
    page = visit(busy(1)).open("/tasks/mine")
    typed = page.get_by_role("textbox", name="New task")
    typed.fill("Half a thou")
    expect(page.get_by_text("Your tasks have changed.")).to_have_count(0)

    manager = visit("manager").open("/tasks/reassignment")
    for _ in range(4):  # drawing the same people again is possible, four times over it is not
        manager.get_by_role("button", name=re.compile("^Reassign")).click()
        manager.goto(manager.url.partition("/tasks")[0] + "/tasks/reassignment")

    expect(page.get_by_text("Your tasks have changed.")).to_be_visible(timeout=10_000)
    expect(typed).to_have_value("Half a thou")
    expect(typed).to_be_focused()
    page.get_by_role("link", name="Show them").click()
    expect(page.get_by_text("Your tasks have changed.")).to_have_count(0)


def test_nothing_new_is_a_304(visit, busy):
    page = visit(busy(1)).open("/tasks/mine")
    with page.expect_response(re.compile("/tasks/mine/version")) as asked:
        page.mouse.click(5, 5)
    assert asked.value.status == 304


def test_ones_own_work_is_no_news(visit, busy):
    page = visit(busy(1)).open("/tasks/mine")
    with page.expect_response(re.compile("/tasks/mine/version")):
        page.locator("[data-complete]").first.click()
    expect(page.locator("tr.done").first).to_be_visible()
    with page.expect_response(re.compile("/tasks/mine/version")):
        pass
    expect(page.get_by_text("Your tasks have changed.")).to_have_count(0)
