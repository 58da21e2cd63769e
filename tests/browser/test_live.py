"""What others do shows by itself, without moving anything under the reader."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser


OPEN_OF = """
SELECT 'task-' || t.id FROM tasks t JOIN users u ON u.id = t.assigned_to
WHERE u.login = %s AND NOT t.is_finished ORDER BY t.id DESC LIMIT 50
"""
WITHIN_MS = 8_000  # two rounds of asking, on a machine that has other work


def reassign_all(manager):
    manager.goto(manager.url.partition("/tasks")[0] + "/tasks/reassignment")
    manager.get_by_role("button", name=re.compile("^Reassign")).click()
    manager.locator("#posting").wait_for()


def test_tasks_given_and_taken_appear_while_somebody_types(visit, busy, rows):
    login = busy(1)
    page = visit(login).open("/tasks/mine")
    typed = page.get_by_role("textbox", name="New task")
    typed.fill("Half a thou")
    typed.evaluate("field => field.setSelectionRange(4, 4)")
    manager = visit("manager").open("/tasks")
    before = rows(OPEN_OF, login)
    while rows(OPEN_OF, login) == before:
        reassign_all(manager)

    now = [row for (row,) in rows(OPEN_OF, login)]
    shown = page.locator("#tasks tr")
    expect(shown).to_have_count(len(now), timeout=WITHIN_MS)
    for index, row in enumerate(now):
        expect(shown.nth(index)).to_have_id(row, timeout=WITHIN_MS)
    expect(typed).to_be_focused()
    expect(typed).to_have_value("Half a thou")
    assert typed.evaluate("field => field.selectionStart") == 4


def test_rows_do_not_move_under_a_focus_or_a_pointer(visit, busy, rows):
    login = busy(1)
    page = visit(login).open("/tasks/mine")
    first = page.locator("#tasks tr").first
    first.get_by_role("button", name="Complete").focus()
    row = first.get_attribute("id")
    manager = visit("manager").open("/tasks")
    before = rows(OPEN_OF, login)
    while rows(OPEN_OF, login) == before:
        reassign_all(manager)
    expect(page.get_by_text("Your tasks have changed.")).to_be_visible(timeout=WITHIN_MS)
    expect(first).to_have_id(row)
    expect(first.get_by_role("button", name="Complete")).to_be_focused()
    page.get_by_role("link", name="Show them").click()
    expect(page.get_by_text("Your tasks have changed.")).to_have_count(0)


def test_the_board_says_how_much_has_changed(visit, busy):
    board = visit("manager2").open("/tasks?state=open")
    top = board.locator("#list tbody tr").first.get_attribute("id")
    employee = visit(busy(2)).open("/tasks/mine")
    employee.locator("[data-complete]").first.click()
    news = board.locator("[data-on=board] .notice")
    expect(news).to_contain_text("on the board", timeout=WITHIN_MS)
    expect(board.locator("#list tbody tr").first).to_have_id(top)
    news.get_by_role("link", name="Show").click()
    expect(news).to_have_count(0)
    expect(board).to_have_url(re.compile(r"/tasks\?state=open$"))


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
