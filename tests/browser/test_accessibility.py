"""No page has a barrier that axe knows of, scrolls sideways on a telephone, or is slow to arrive.

Each page is opened once by each reader and language, and looked at in every way that it has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import TALL, WIDE
from tests.browser.pages import paths_of
from tests.browser.visitors import BUT_COLOURS, COLOURS, RULES, Visitor

pytestmark = pytest.mark.browser
NARROW = 320
REQUESTS_MAX, BYTES_MAX = 8, 60_000
# Text that only a light page has on a light ground.
DARK_WORDS = """
document.querySelector("h1").insertAdjacentHTML("afterend", '<p id="faint">Faint words</p>');
document.querySelector("#faint").style.color = "#333";
"""

Seen = dict[str, dict[str, list[str]]]


@pytest.fixture(scope="module", params=["en", "ru"])
def seen(
    request: pytest.FixtureRequest,
    visiting: Callable[[], AbstractContextManager[Callable[..., Visitor]]],
    busy: Callable[[int], str],
    rows: Callable[..., list[Any]],
) -> Iterator[Seen]:
    """What is wrong in one language: by the look, then by the page."""
    with visiting() as visit:
        found: Seen = {}
        for login, own in paths_of(busy(1), rows).items():
            visitor = visit(login, language=request.param)
            for path in own:
                for look, wrong in looks(visitor, path, request.param):
                    found.setdefault(look, {})[path] = wrong
        yield {look: {path: one for path, one in by.items() if one} for look, by in found.items()}


def looks(visitor: Visitor, path: str, language: str) -> Iterator[tuple[str, list[str]]]:
    """A page at 320 pixels, at the usual width, and in the dark, with what is wrong in each look.

    What it asks for is looked at in English. Only colours depend on the theme, and none on the
    language.
    """
    page = visitor.page
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": NARROW, "height": TALL})
    visitor.open(path)
    yield "narrow", visitor.sticking_out()
    if language == "en":
        yield "first visit", too_much(visitor.first_visit())
    page.set_viewport_size({"width": WIDE, "height": TALL})
    visitor.shorten()
    yield "light", visitor.barriers(RULES if language == "en" else BUT_COLOURS)
    if language == "en":
        page.emulate_media(color_scheme="dark")
        yield "dark", visitor.barriers(COLOURS)


def too_much(visit: dict[str, int]) -> list[str]:
    """What is too much in a first visit of a page, by address and bytes."""
    kinds = [url.partition("?")[0].rpartition(".")[2] for url in visit]
    scripts = [url for url in visit if ".js?" in url and "/vendor/htmx" not in url]
    found = {
        f"{len(visit)} requests: {list(visit)}": len(visit) > REQUESTS_MAX,
        f"{sum(visit.values())} bytes: {visit}": sum(visit.values()) >= BYTES_MAX,
        f"{kinds.count('css')} stylesheets": kinds.count("css") > 1,
        f"scripts besides htmx: {scripts}": len(scripts) > 1,
    }
    return [words for words, is_wrong in found.items() if is_wrong]


def test_axe_finds_nothing_on_any_page(seen):
    assert seen["light"] == {}


def test_axe_finds_nothing_in_the_dark(seen):
    assert seen.get("dark", {}) == {}


def test_no_page_scrolls_sideways_at_320_pixels(seen):
    assert seen["narrow"] == {}


def test_a_first_visit_is_few_requests_and_bytes(seen):
    assert seen.get("first visit", {}) == {}


def test_a_heavy_first_visit_is_seen(visit):
    visitor = visit()
    page = visitor.open("/sign-in")
    assert len(visitor.first_visit()) == 5, "the page, its style, its script, htmx, and its icon"
    page.evaluate("""
      for (const name of ["app.css", "components.css", "operations.js", "app.js?again"])
        document.head.append(Object.assign(document.createElement("link"),
          {rel: "alternate", href: `/static/${name}${name.includes("?") ? "" : "?v=1"}`}))
    """)
    wrong = " ".join(too_much(visitor.first_visit()))
    assert "9 requests" in wrong
    assert "3 stylesheets" in wrong
    assert "operations.js" in wrong
    assert "bytes" in " ".join(too_much({"/": BYTES_MAX}))


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


def test_what_is_wrong_is_seen_in_each_look(visit):
    """The control: a barrier, and a colour that is wrong in the dark alone."""
    visitor = visit()
    page = visitor.page

    def seen_after(change: str) -> dict[str, list[str]]:
        visitor.shorten = lambda: page.evaluate(change)
        return dict(looks(visitor, "/sign-in", "en"))

    assert not any(seen_after("null").values())
    one = seen_after("document.querySelector('label').remove()")
    assert any(barrier.startswith("label:") for barrier in one["light"])
    dark = seen_after(DARK_WORDS)
    assert dark["light"] == []
    assert any(barrier.startswith("color-contrast:") for barrier in dark["dark"])


def test_a_page_that_is_too_wide_is_seen(visit):
    visitor = visit(width=NARROW)
    page = visitor.open("/sign-in")
    page.evaluate("document.querySelector('h1').style.minWidth = '500px'")
    assert visitor.sticking_out() != []


def test_a_late_row_that_differs_is_looked_at(visit):
    visitor = visit("accountant")
    page = visitor.open("/report")
    long = page.locator("tbody", has=page.locator("tr:nth-child(20)")).filter(visible=True).first
    long.locator("tr").last.evaluate("row => row.lastElementChild.innerHTML = '<button></button>'")
    before = long.locator("tr").count()
    visitor.shorten()
    assert long.locator("tr").count() < before / 2
    assert any(barrier.startswith("button-name:") for barrier in visitor.barriers())
