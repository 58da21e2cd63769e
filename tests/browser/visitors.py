"""People at browsers, who notice what no page may do."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import requests
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import BrowserContext, Locator, Page, Request, expect

# Names of Chromium on PATH, and what makes it work as root and ask nobody but us.
NAMES = ("chromium", "chromium-browser", "google-chrome")
CALM = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
# Who has at least so many open tasks, those with most first.
BUSY = """
SELECT u.login FROM users u JOIN tasks t ON t.assigned_to = u.id AND NOT t.is_finished
WHERE u.role IN ('developer', 'other') GROUP BY u.login HAVING count(*) >= %s
ORDER BY count(*) DESC, u.login
"""
PASSWORD = "a-parrot-is-paid-daily"
# A browser tells of every 4xx; those that a test asks for are not news, a 5xx is.
REFUSAL = re.compile(r"Failed to load resource: the server responded with a status of 4\d\d")
TAGS = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
RULES = {"runOnly": TAGS}
# axe's copy of each stylesheet and medium serves no rule that is asked for here: no page has sound.
FOUND_ALONE = {"resultTypes": ["violations"], "preload": False}
COLOURS = {"runOnly": ["color-contrast"]}
BUT_COLOURS = {"runOnly": TAGS, "rules": {"color-contrast": {"enabled": False}}}
STICKING_OUT = """() => {
  const width = window.innerWidth;
  if (document.documentElement.scrollWidth <= width) return [];
  return [...document.querySelectorAll("body *")]
    .filter((element) => element.getBoundingClientRect().right > width + 0.5)
    .map((element) => element.cloneNode(false).outerHTML + element.textContent.slice(0, 40));
}"""
# Rows, choices and marks of charts that bring nothing new: each of their elements is of a kind that
# stands before them, by tag, classes, attributes, and whether it has text. They cost axe most.
SHORTEN = """() => {
  const kind = (element) => [element.tagName, ...element.classList, ...element.getAttributeNames(),
                             Boolean(element.textContent.trim())].join(" ");
  for (const list of document.querySelectorAll("tbody, select, datalist, ul, svg, svg g")) {
    const known = new Set();
    for (const child of [...list.children]) {
      const kinds = [child, ...child.querySelectorAll("*")].map(kind);
      if (kinds.every((one) => known.has(one))) child.remove();
      else for (const one of kinds) known.add(one);
    }
  }
}"""
FILES = """() => [...document.querySelectorAll("[src], link[href]")].map(
  (element) => element.src || element.href)"""
DOUBLED_IDS = """() => {
  const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
  return [...new Set(ids.filter((id, index) => ids.indexOf(id) !== index))];
}"""
# Two frames: what a change of theme or a swap left to be drawn is drawn.
DRAWN = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"


def chromium_path() -> str | None:
    """Where Chromium is, if it is on PATH."""
    return next((path for path in map(shutil.which, NAMES) if path), None)


def look_again_until(page: Page, sought: Locator) -> None:
    """Follow the link of long work on an unscripted page until it shows what is sought.

    Each look waits for the page that it leads to: between two pages nothing is visible.
    """
    again = page.get_by_role("link", name="Look again")
    for _ in range(75):
        expect(again.or_(sought).first).to_be_visible()
        if sought.is_visible():
            return
        page.wait_for_timeout(200)
        with page.expect_navigation():
            again.click()
    raise AssertionError(f"{page.url} was looked at 75 times and does not show {sought}")


def weight(url: str, cookies: Mapping[str, str]) -> int:
    """The bytes that an answer has on the wire, compressed."""
    headers = {"Accept-Encoding": "gzip"}
    with requests.get(url, headers=headers, cookies=cookies, stream=True, timeout=15) as answer:
        return len(answer.raw.read())


@dataclass
class Visitor:
    """One person at one browser; `problems` collects what must not happen on any page."""

    context: BrowserContext
    address: str
    problems: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)  # since the page was opened

    def __post_init__(self) -> None:
        self.page = self.context.new_page()
        self.page.set_default_timeout(15_000)
        self.page.on("console", lambda message: self._note(message.type, message.text))
        self.page.on("pageerror", lambda error: self.problems.append(f"page error: {error}"))
        self.page.on("request", self._check_origin)

    def open(self, path: str) -> Page:
        """Open a page of the system under test, with those of its parts that load alone."""
        self.asked.clear()
        self.page.goto(self.address + path)
        expect(self.page.locator("[data-loading]")).to_have_count(0)
        return self.page

    def sign_in(self, login: str, password: str = PASSWORD) -> Page:
        """Sign in through the form."""
        self.open("/sign-in")
        return self.fill_sign_in(login, password)

    def fill_sign_in(self, login: str, password: str = PASSWORD) -> Page:
        """Sign in through the form of the page that is open."""
        page = self.page
        page.fill("#field-login", login)
        page.fill("#field-password", password)
        page.locator("form.card", has=page.locator("#field-login")).get_by_role("button").click()
        page.wait_for_url(lambda url: "/sign-in" not in url)
        return page

    def shorten(self) -> None:
        """Leave of each list in the page that is open what differs."""
        self.page.evaluate(SHORTEN)

    def sticking_out(self) -> list[str]:
        """What makes the page scroll sideways, nothing when it does not."""
        found: list[str] = self.page.evaluate(STICKING_OUT)
        return found

    def barriers(self, rules: Mapping[str, Any] = RULES) -> list[str]:
        """What axe finds, by default WCAG 2.2 AA and good practice, as `rule: element`."""
        self.page.evaluate(DRAWN)
        if not self.page.evaluate("'axe' in window"):
            self.page.evaluate(AXE_SCRIPT)
        options = {**rules, **FOUND_ALONE}
        violations: list[dict[str, Any]] = self.page.evaluate(
            "async options => (await axe.run(document, options)).violations", options
        )
        doubled: list[str] = self.page.evaluate(DOUBLED_IDS)
        return [f"doubled id: {name}" for name in doubled] + [
            f"{violation['id']}: {node['html'][:120]} ({node['failureSummary'][:160]})"
            for violation in violations
            for node in violation["nodes"]
        ]

    def close(self) -> None:
        """Leave; raises AssertionError when something happened that must not."""
        self.context.close()
        assert self.problems == [], self.problems

    def _note(self, kind: str, text: str) -> None:
        if kind in {"error", "warning"} and not REFUSAL.match(text):
            self.problems.append(f"{kind}: {text}")

    def first_visit(self) -> dict[str, int]:
        """What the page that is open asks for by its address, with its bytes on the wire.

        As if nothing were in the browser's memory; without what a live page asks every few seconds.
        """
        files: list[str] = self.page.evaluate(FILES)
        cookies = {cookie["name"]: cookie["value"] for cookie in self.context.cookies()}
        return {
            url: weight(url, cookies)
            for url in dict.fromkeys([*self.asked, *files])
            if not url.endswith("/version")
        }

    def _check_origin(self, request: Request) -> None:
        self.asked.append(request.url)
        if not request.url.startswith((f"{self.address}/", "data:")):
            self.problems.append(f"request to {request.url}")
