"""No page has a barrier that axe knows of, nor scrolls sideways on the narrowest telephone."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.visitors import BUT_COLOURS, COLOURS, RULES

pytestmark = pytest.mark.browser
NARROW = 320
# Rows and choices after the first ten are made by the same template, and cost axe a second each.
SHORTEN = """
document.querySelectorAll("tbody tr:nth-child(n+11), option:nth-child(n+11)")
  .forEach(element => element.remove())
"""
# A page of each kind, by who reads it; {name} is filled in with what the demo company has.
PAGES = {
    None: ["/sign-in", "/register", "/invitations/none", "/api/docs"],
    "{employee}": ["/tasks/mine", "/tasks/new", "/account", "/settings", "/people"],
    "admin": [
        "/tasks/mine",
        "/tasks?state=open",
        "/tasks?q=nothing-of-this-name",
        "/tasks?state=unknown",
        "/tasks/reassignment",
        "/tasks/{task}",
        "/analytics",
        "/people",
        "/people/{person}",
        "/mailbox",
        "/system",
        "/system/events",
        "/system/events/{event}",
        "/system/dead-letters",
    ],
    "accountant": [
        "/report",
        "/report?user_id={person}",
        "/close-day",
        "/payouts/{day}",
        "/accounts/{person}",
        "/transfers/{transfer}",
        "/corrections",
        "/reconciliation",
        "/exports",
        "/mail",
    ],
}


@pytest.fixture(scope="session")
def paths(busy, rows):
    """The pages, by login."""
    employee = busy(1)
    ((person,),) = rows("SELECT id FROM users WHERE login = %s", employee)
    ((task,),) = rows("SELECT max(task_id) FROM logs WHERE type = 'complete'")
    ((day,),) = rows("SELECT max(day) FROM business_days WHERE status = 'closed'")
    ((event,),) = rows("SELECT event_id FROM outbox ORDER BY id DESC LIMIT 1")
    ((transfer,),) = rows("SELECT max(id) FROM account_transfers WHERE kind = 'payout'")
    known = {
        "employee": employee,
        "person": person,
        "task": task,
        "day": day,
        "event": event,
        "transfer": transfer,
    }
    return {
        login and login.format(**known): [path.format(**known) for path in found]
        for login, found in PAGES.items()
    }


@pytest.mark.parametrize("language", ["en", "ru"])
def test_axe_finds_nothing_on_any_page(visit, paths, language):
    rules = RULES if language == "en" else BUT_COLOURS
    assert barriers(lambda login: visit(login, language=language), paths, rules) == {}


def test_axe_finds_nothing_in_the_dark(visit, paths):
    """Only colours depend on the theme."""
    assert barriers(lambda login: visit(login, scheme="dark"), paths, COLOURS) == {}


def barriers(enter, paths, rules):
    """What axe finds, by page, for each of those who read them."""
    found = {}
    for login, own in paths.items():
        visitor = enter(login)
        for path in own:
            visitor.open(path).evaluate(SHORTEN)
            if here := visitor.barriers(rules):
                found[path] = here
    return found


@pytest.mark.parametrize("language", ["en", "ru"])
def test_no_page_scrolls_sideways_at_320_pixels(visit, paths, language):
    wide = {}
    for login, own in paths.items():
        visitor = visit(login, language=language, width=NARROW)
        for path in own:
            visitor.open(path)
            if found := visitor.sticking_out():
                wide[path] = found
    assert wide == {}


def test_axe_finds_nothing_after_a_swap_a_refusal_and_in_a_menu(visit, busy):
    login = busy(1)
    visitor = visit(login)
    page = visitor.open("/tasks/mine")
    page.locator("[data-complete]").first.click()
    expect(page.locator("#status")).to_contain_text("Finished: ")
    assert visitor.barriers() == []
    page.get_by_role("textbox", name="New task").fill("No [brackets] inside")
    page.get_by_role("button", name="Create task").click()
    expect(page.locator("[aria-invalid=true]")).to_be_focused()
    assert visitor.barriers() == []
    page.locator("summary", has_text=login).click()
    page.locator("details.fold summary").last.click()
    assert visitor.barriers() == []


def test_axe_would_find_a_barrier(visit):
    visitor = visit()
    visitor.open("/sign-in").evaluate("document.querySelector('label').remove()")
    assert any(barrier.startswith("label:") for barrier in visitor.barriers())
