"""Forms that are refused, sent twice, or sent without JavaScript."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser
REWARDS = """
SELECT count(*) FROM account_transfers t
WHERE t.task_id = %s AND t.kind = 'completion_reward'
"""


def test_a_refused_task_keeps_what_was_typed_and_takes_the_focus(visit):
    page = visit("manager").open("/tasks/mine")
    page.get_by_role("textbox", name="New task").fill("Square [brackets]")
    page.get_by_label("Description").fill("Kept as it was.")
    page.get_by_role("button", name="Create task").click()
    name = page.get_by_role("textbox", name="New task")
    expect(name).to_be_focused()
    expect(name).to_have_value("Square [brackets]")
    expect(name).to_have_attribute("aria-invalid", "true")
    expect(name).to_have_accessible_description(re.compile("Square brackets"))
    expect(page.get_by_label("Description")).to_have_value("Kept as it was.")


def test_a_refused_registration_keeps_what_was_typed(visit):
    page = visit().open("/register")
    page.get_by_label("Login").fill("x")
    page.get_by_label("E-mail").fill("someone@ates.example")
    page.get_by_label("Password").fill("fifteen-and-more-characters")
    page.get_by_role("button", name="Register").click()
    expect(page.get_by_label("Login")).to_be_focused()
    expect(page.get_by_label("E-mail")).to_have_value("someone@ates.example")
    expect(page.get_by_label("Password")).to_have_value("")
    page.get_by_role("link", name="Login").click()
    expect(page.get_by_label("Login")).to_be_focused()


def test_a_wrong_password_does_not_tell_what_was_wrong(visit):
    page = visit().open("/sign-in")
    page.get_by_label("Login").fill("nobody-of-that-name")
    page.get_by_label("Password").fill("a wrong one")
    page.get_by_role("button", name="Sign in").first.click()
    expect(page.get_by_role("alert").first).to_contain_text("Wrong login or password")


def test_a_double_click_on_complete_pays_once(visit, busy, rows):
    page = visit(busy(1)).open("/tasks/mine")
    row = page.locator("#tasks tr").first
    task_id = int(row.get_attribute("id").removeprefix("task-"))
    row.get_by_role("button", name="Complete").dblclick()
    expect(row).to_have_class(re.compile("done"))
    expect(page.locator("#earnings[hx-get]")).to_have_count(0)
    assert rows(REWARDS, task_id) == [(1,)]


def test_two_tabs_complete_a_task_once(visit, busy, rows):
    login = busy(1)
    first, second = visit(login).open("/tasks/mine"), visit(login).open("/tasks/mine")
    row = second.locator("#tasks tr").first
    task_id = int(row.get_attribute("id").removeprefix("task-"))
    first.locator(f"#task-{task_id}").get_by_role("button").click()
    expect(first.locator(f"#task-{task_id}")).to_have_class(re.compile("done"))
    row.get_by_role("button", name="Complete").click()
    expect(row).to_have_class(re.compile("done"))
    expect(second.locator("#earnings[hx-get]")).to_have_count(0)
    assert rows(REWARDS, task_id) == [(1,)]


def test_the_work_goes_on_without_javascript(visit, busy):
    login = busy(1)
    visitor = visit(scripts=False)
    page = visitor.sign_in(login)
    expect(page.locator("h1")).to_have_text("My tasks")
    row = page.locator("#tasks tr").first
    name = row.locator(".name").inner_text()
    row.get_by_role("button", name="Complete").click()
    expect(page).to_have_url(re.compile("/tasks/mine$"))
    page.locator("details.fold > summary", has_text="Finished").click()
    expect(page.locator("tr.done", has_text=name).first).to_be_attached()

    page.get_by_role("textbox", name="New task").fill("Made without scripts")
    page.get_by_role("button", name="Create task").click()
    expect(page.get_by_role("status").first).to_contain_text("Made without scripts")
    page.get_by_role("textbox", name="New task").fill("Not [so]")
    page.get_by_role("button", name="Create task").click()
    expect(page.locator("[aria-invalid=true]")).to_have_value("Not [so]")
    page.get_by_role("button", name="Русский").click()
    expect(page.locator("html")).to_have_attribute("lang", "ru")


def test_the_board_is_filtered_and_reassigned_without_javascript(visit):
    page = visit("manager2", scripts=False).open("/tasks")
    page.get_by_label("State").select_option("finished")
    page.get_by_role("button", name="Filter").click()
    expect(page).to_have_url(re.compile("state=finished"))
    page.get_by_role("link", name="Load more").click()
    expect(page.locator("#list tbody:not(.pager) tr").first).to_be_visible()
    page.get_by_role("link", name="Reassign all").click()
    page.get_by_role("button", name=re.compile("^Reassign")).click()
    expect(page.locator("h1")).to_contain_text("reassigned")
