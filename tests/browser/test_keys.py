"""The work by keyboard: shortcuts in both layouts, at rest while typing, off when unwanted."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.visitors import PASSWORD, RULES

pytestmark = pytest.mark.browser
OTHER_LAYOUT = """([key, code, shiftKey]) => document.activeElement.dispatchEvent(
  new KeyboardEvent("keydown", {key, code, shiftKey, bubbles: true, cancelable: true}))"""
# What an open menu lies over is there again when it is closed.
OPEN_MENU = {**RULES, "rules": {"target-size": {"enabled": False}}}


def test_tasks_are_completed_found_and_created_by_keys(visit, busy):
    page = visit(busy(3)).open("/tasks/mine")
    rows = page.locator("#tasks tr")
    page.keyboard.press("j")
    expect(rows.nth(0).locator("a.name")).to_be_focused()
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    expect(rows.nth(1).locator("a.name")).to_be_focused()
    page.keyboard.press("x")
    expect(rows.nth(1)).to_have_class(re.compile("done"))
    expect(rows.nth(2).get_by_role("button", name="Complete")).to_be_focused()
    name = rows.nth(2).locator(".name").inner_text()
    page.keyboard.press("d")
    expect(page.locator("h1")).to_have_text(name)
    page.go_back()
    page.keyboard.press("c")
    field = page.get_by_role("textbox", name="New task")
    expect(field).to_be_focused()
    page.keyboard.type("jxc / ?")
    expect(field).to_have_value("jxc / ?")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_the_keys_are_where_they_are_in_the_russian_layout(visit, busy):
    page = visit(busy(1), language="ru").open("/tasks/mine")
    page.evaluate(OTHER_LAYOUT, ["\N{CYRILLIC SMALL LETTER O}", "KeyJ", False])
    expect(page.locator("#tasks tr a.name").first).to_be_focused()
    page.evaluate(OTHER_LAYOUT, [",", "Slash", True])
    expect(page.get_by_role("dialog", name="Горячие клавиши")).to_be_visible()
    page.keyboard.press("Escape")
    page.evaluate(OTHER_LAYOUT, [".", "Slash", False])
    expect(page.locator("#q")).to_be_focused()


def test_the_overview_says_what_the_page_offers_and_gives_the_focus_back(visit):
    visitor = visit("boss")
    page = visitor.open("/account")
    page.get_by_role("link", name="My tasks").focus()
    page.keyboard.press("?")
    overview = page.get_by_role("dialog", name="Keyboard shortcuts")
    expect(overview).to_contain_text("next row")
    expect(overview).not_to_contain_text("complete the row", use_inner_text=True)
    assert visitor.barriers() == []
    page.keyboard.press("Escape")
    expect(page.get_by_role("link", name="My tasks")).to_be_focused()
    page.keyboard.press("/")
    line = page.get_by_role("dialog", name="Search tasks").get_by_role("searchbox")
    expect(line).to_be_focused()
    assert visitor.barriers() == []
    page.keyboard.type("state:finished")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/tasks/mine\?q=state(:|%3A)finished$"))


def test_a_menu_is_left_by_escape_a_press_beside_it_and_a_choice(visit):
    visitor = visit("accountant", width=320)
    page = visitor.open("/report")
    opener, last = page.locator("summary", has_text="More"), page.get_by_role("link", name="Corr")
    expect(last).to_be_hidden()
    opener.focus()
    page.keyboard.press("Enter")
    expect(last).to_be_in_viewport(ratio=1)
    assert visitor.sticking_out() == []
    assert visitor.barriers(OPEN_MENU) == []
    page.keyboard.press("Tab")
    page.keyboard.press("Escape")
    expect(last).to_be_hidden()
    expect(opener).to_be_focused()
    opener.click()
    page.locator("h1").click()
    expect(last).to_be_hidden()
    opener.click()
    page.evaluate("window.print = () => (document.title = 'printed')")
    page.get_by_role("button", name="Print").click()
    expect(page).to_have_title("printed")
    expect(opener).to_be_focused()
    expect(last).to_be_hidden()
    opener.click()
    last.click()
    expect(page.locator("h1")).to_have_text("Corrections")


def test_shortcuts_can_be_switched_off(visit):
    page = visit("boss").open("/settings")
    choice = page.get_by_role("combobox", name="Keyboard shortcuts")
    choice.select_option("off")
    page.get_by_role("region", name="How pages are shown").get_by_role("button").click()
    expect(page.get_by_role("status").first).to_contain_text("as you chose")
    page.keyboard.press("?")
    page.keyboard.press("/")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.locator("[aria-keyshortcuts]")).to_have_count(0)
    page.get_by_role("button", name="Undo").click()
    expect(choice).to_have_value("on")


def reach(page: Page, target: Locator) -> None:
    """Press Tab until `target` has the focus."""
    for _ in range(150):
        page.keyboard.press("Tab")
        if target.evaluate("element => element === document.activeElement"):
            return
    pytest.fail(f"{target} cannot be reached by Tab")


def choose(page: Page, target: Locator) -> None:
    """Go to `target` by Tab, and press Enter."""
    reach(page, target)
    page.keyboard.press("Enter")


def enter(page: Page, login: str) -> None:
    """Sign in by the keyboard."""
    reach(page, page.get_by_label("Login"))
    page.keyboard.type(login)
    reach(page, page.get_by_label("Password"))
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: "/sign-in" not in url)


def test_an_employee_earns_by_tab_and_enter_alone(visit, busy):
    page = visit().open("/sign-in")
    enter(page, busy(2))
    row = page.locator("#tasks tr").first
    choose(page, row.get_by_role("button", name="Complete"))
    expect(row).to_have_class(re.compile("done"))
    assert page.evaluate("document.activeElement.matches('[data-complete]')")
    name = row.locator(".name").inner_text()
    choose(page, page.get_by_role("navigation").get_by_role("link", name="My account"))
    line = page.locator("table.statement tr[id^=line-]").first
    assert line.locator(".name").inner_text() in name


def test_a_manager_reassigns_by_tab_and_enter_alone(visit):
    page = visit().open("/sign-in")
    enter(page, "manager2")
    choose(page, page.get_by_role("link", name="Reassign all"))
    choose(page, page.get_by_role("button", name=re.compile("^Reassign")))
    expect(page.locator("h1")).to_contain_text("reassigned")


def test_an_accountant_ends_the_day_by_tab_and_enter_alone(visit):
    visitor = visit()
    page = visitor.open("/sign-in")
    enter(page, "accountant")
    choose(page, page.get_by_role("link", name="Close the day"))
    end = page.get_by_role("button", name=re.compile("^Finish "))
    choose(page, end)
    sure = page.get_by_role("dialog", name="Are you sure?")
    expect(sure.get_by_role("button", name="Cancel")).to_be_focused()
    assert visitor.barriers() == []
    page.keyboard.press("Escape")
    expect(end).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/payouts/\d{4}-\d\d-\d\d$"))
    expect(page.get_by_role("status").first).to_have_text("The day is closed.")


def test_an_administrator_looks_around_by_tab_and_enter_alone(visit):
    page = visit().open("/sign-in")
    enter(page, "admin")
    expect(page.locator("h1")).to_have_text("Analytics")
    choose(page, page.locator("summary", has_text="The same as a table").first)
    expect(page.locator(".chart-figure table").first).to_be_visible()
    choose(page, page.get_by_role("navigation").get_by_role("link", name="Health"))
    reach(page, page.get_by_label("Reason"))
    expect(page.get_by_role("heading", name="Emergency stop")).to_be_visible()


def test_all_pages_of_an_administrator_are_in_one_line_and_reached_by_keys(visit):
    """At 320 pixels the line scrolls: to the current page by itself, to the others by focus."""
    for scripts in (True, False):
        visitor = visit("admin", language="ru", width=320, scripts=scripts)
        page = visitor.open("/people")
        links = page.locator(".nav a")
        places = [links.nth(number).bounding_box() for number in range(links.count())]
        assert len(places) > 5
        assert len({place["y"] for place in places}) == 1
        assert all(min(place["width"], place["height"]) >= 24 for place in places)
        expect(page.locator(".nav [aria-current]")).to_be_in_viewport(ratio=1)
        page.locator(".brand").focus()
        for number in range(links.count()):
            page.keyboard.press("Tab")
            expect(links.nth(number)).to_be_focused()
            expect(links.nth(number)).to_be_in_viewport(ratio=0.99 if scripts else None)
