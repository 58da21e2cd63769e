"""No page has a barrier that axe knows of, nor scrolls sideways on the narrowest telephone."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.pages import paths_of
from tests.browser.visitors import BUT_COLOURS, COLOURS, RULES

pytestmark = pytest.mark.browser
NARROW = 320
# Rows and choices after the first ten are made by the same template, and cost axe a second each.
SHORTEN = """
document.querySelectorAll("tbody tr:nth-child(n+11), option:nth-child(n+11)")
  .forEach(element => element.remove())
"""


@pytest.fixture(scope="session")
def paths(busy, rows):
    return paths_of(busy(1), rows)


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
