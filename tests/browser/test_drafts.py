"""What was typed is not lost: an old page, an ended session, a server that is away."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser
NAME = "Half a thought"


def typed(page):
    return page.get_by_role("textbox", name="New task")


def test_a_draft_outlives_a_reload_and_goes_when_it_was_taken(visit):
    page = visit("manager").open("/tasks/mine")
    typed(page).fill(NAME)
    page.get_by_label("Description").fill("with its reason")
    page.reload()
    expect(typed(page)).to_have_value(NAME)
    expect(page.get_by_label("Description")).to_have_value("with its reason")
    page.get_by_role("button", name="Discard it").click()
    expect(typed(page)).to_have_value("")
    page.get_by_role("button", name="Bring it back").click()
    expect(typed(page)).to_have_value(NAME)
    page.get_by_role("button", name="Create task").click()
    expect(page.locator("#new .notice")).to_contain_text(f"was drawn for {NAME}")
    page.reload()
    expect(typed(page)).to_have_value("")
    assert page.evaluate("sessionStorage.length") == 0


def test_spaces_are_no_draft(visit):
    page = visit("jaco").open("/tasks/mine")
    page.get_by_role("textbox", name="New task").fill("   ")
    page.reload()
    expect(page.locator("#new")).to_be_visible()
    expect(page.locator("[data-draft-drop]")).to_have_count(0)


def test_a_session_that_ends_in_the_middle_of_an_edit_loses_no_draft(visit):
    visitor = visit()
    login = "manager2"
    visitor.sign_in(login)
    page = visitor.open("/tasks/mine?q=state:open")
    typed(page).fill(NAME)
    visitor.context.clear_cookies()
    page.get_by_role("button", name="Create task").click()
    expect(page.locator("h1")).to_have_text("Sign-in")
    expect(page.get_by_role("status").first).to_contain_text("Your session has ended")
    visitor.fill_sign_in(login)
    expect(page).to_have_url(re.compile(r"/tasks/mine\?q=state(:|%3A)open$"))
    expect(typed(page)).to_have_value(NAME)
    expect(page.get_by_text("What you typed before is here again.")).to_be_visible()
    page.locator("summary", has_text=login).click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.locator("h1")).to_have_text("Sign-in")
    assert page.evaluate("sessionStorage.length") == 0


def test_a_page_that_is_too_old_is_reloaded_with_its_draft(visit):
    page = visit("manager").open("/tasks/mine")
    page.evaluate("document.body.setAttribute('hx-headers:inherited', '{}')")
    page.locator("#new input[name=csrf_token]").evaluate("field => field.value = 'old'")
    typed(page).fill(NAME)
    page.get_by_role("button", name="Create task").click()
    toast = page.get_by_role("alert")
    expect(toast).to_contain_text("The page was open for too long")
    toast.get_by_role("button", name="Reload the page").click()
    expect(typed(page)).to_have_value(NAME)
    page.get_by_role("button", name="Create task").click()
    expect(page.locator("#new .notice")).to_contain_text(NAME)


def test_without_javascript_the_text_is_given_back_to_be_sent_again(visit):
    page = visit("manager", scripts=False).open("/tasks/new")
    page.get_by_label("Name").fill(NAME)
    page.get_by_label("Description").fill("First line\nsecond line")
    page.context.clear_cookies()
    page.get_by_role("button", name="Create task").click()
    expect(page.locator("h1")).to_have_text("Your session has ended")
    expect(page.get_by_label("Name")).to_have_value(NAME)
    expect(page.get_by_label("Description")).to_have_value("First line\nsecond line")


def test_a_lost_connection_is_told_and_heals_without_a_reload(visit):
    visitor = visit("manager")
    page = visitor.open("/tasks/mine")
    page.evaluate("window.isTheSamePage = true")
    typed(page).fill(NAME)
    visitor.context.set_offline(True)
    expect(page.get_by_text("Connection lost")).to_be_visible()
    page.get_by_role("button", name="Create task").click()
    toast = page.get_by_role("alert")
    expect(toast).to_contain_text("That did not get through")
    visitor.context.set_offline(False)
    expect(page.get_by_text("Connection lost")).to_be_hidden()
    toast.get_by_role("button", name="Retry").click()
    expect(page.locator("#new .notice")).to_contain_text(NAME)
    assert page.evaluate("window.isTheSamePage")
    visitor.problems.clear()  # the browser's own words about the requests that failed


def test_a_description_grows_where_the_style_alone_does_not(visit):
    visitor = visit("manager2")
    visitor.page.add_init_script("CSS.supports = () => false")
    page = visitor.open("/tasks/new")
    field = page.get_by_label("Description")
    field.evaluate("field => field.style.fieldSizing = 'fixed'")
    field.fill("\n".join(["A line"] * 9))
    assert field.evaluate("field => field.scrollHeight <= field.clientHeight")
    field.fill("\n".join(["A line"] * 99))
    assert field.evaluate("field => field.rows") == 12
