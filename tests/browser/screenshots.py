"""`bin/screenshots`: every page of a running system with the demo company, to be looked at.

It starts a system of its own and signs in as those who read the pages of tests/browser/pages.py;
each page is taken light and dark, wide and narrow, in English and in Russian, and so are a few
moments that no address shows. var/screenshots/index.html shows them all. Exit code 1 if a page
broke a rule that the browser tests hold too (its CSP, an error in a script, another origin), or
if time ran out.
"""

from __future__ import annotations

import argparse
import contextlib
import html
import itertools
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from playwright.sync_api import Browser, Page, StorageState, sync_playwright

from tests.browser.pages import paths_of
from tests.browser.palette import reduced
from tests.browser.visitors import BUSY, CALM, DRAWN, Visitor, chromium_path
from tests.flows.running import ROOT, Running, started

TAKEN = ROOT / "var" / "screenshots"
README = ROOT / "docs" / "screenshots"
README_BYTES_MAX = 60_000
TIME_MAX_S = 30 * 60
# The demo's month is told in well under a minute where nothing else is done.
READY_S = 10 * 60
# What is below is more of the same: rows of tables.
HEIGHT_MAX = {1280: 1800, 360: 2200}
HEIGHT = {1280: 900, 360: 740}
LOCALES = {"en": "en-US", "ru": "ru-RU"}
LOOKS = tuple(itertools.product(("en", "ru"), ("light", "dark"), (1280, 360)))

ONLY_IN_DEVELOPMENT = ("/styleguide",)

Look = tuple[str, str, int]


@dataclass(frozen=True)
class Scene:
    """A page as somebody sees it, after `act` if there is one."""

    login: str | None
    path: str
    title: str = ""
    act: Callable[[Page], object] = lambda _page: None

    @property
    def name(self) -> str:
        """The name of its files."""
        words = self.title or re.sub(r"[0-9a-f]{8}-[0-9a-f-]+|\d[\d-]*", "one", self.path)
        plain = re.sub(r"[^a-z]+", "-", words.lower()).strip("-")
        return f"{self.login or 'nobody'}-{plain or 'home'}"


def main() -> int:
    """Take what is asked for. Exit code 1 and one line on what went wrong."""
    parser = argparse.ArgumentParser(prog="bin/screenshots", description=__doc__)
    parser.add_argument("--only", default="", metavar="TEXT", help="pages with this in their name")
    parser.add_argument("--readme", action="store_true", help="the four of docs/screenshots/")
    wanted = parser.parse_args()
    path = chromium_path()
    if path is None:
        sys.exit("bin/screenshots needs Chromium on PATH (on Debian: apt install chromium)")
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="ates-pictures-") as folder:
        say("Starting a system with the demo company")
        with (
            started(Path(folder, "data"), ready_s=READY_S, ATES_DEMO="1") as system,
            sync_playwright() as playwright,
            contextlib.closing(
                playwright.chromium.launch(executable_path=path, args=CALM)
            ) as browser,
        ):
            studio = Studio(system, browser, deadline=began + TIME_MAX_S)
            if wanted.readme:
                for_readme(studio)
            else:
                everything(studio, only=wanted.only)
    for problem in studio.problems:
        say(problem)
    say(f"Done after {time.monotonic() - began:.0f} s")
    return 1 if studio.problems else 0


class Studio:
    """A running system, and the browsers of those who are signed in to it."""

    def __init__(self, system: Running, browser: Browser, *, deadline: float) -> None:
        self.system = system
        self.problems: list[str] = []
        self._browser = browser
        self._deadline = deadline
        self._states: dict[str, StorageState] = {}

    def rows(self, statement: str, *values: Any) -> list[Any]:
        """What the system's database says."""
        with psycopg.connect(self.system.env["DATABASE_URL"]) as connection:
            return connection.execute(statement, values).fetchall()

    @contextlib.contextmanager
    def visit(self, login: str | None, look: Look) -> Iterator[Visitor]:
        """A browser with this look, somebody signed in."""
        language, scheme, width = look
        if login is not None and login not in self._states:
            first = Visitor(self._browser.new_context(), self.system.address)
            first.sign_in(login)
            self._states[login] = first.context.storage_state()
            first.context.close()
        context = self._browser.new_context(
            storage_state=self._states[login] if login else None,
            locale=LOCALES[language],
            color_scheme=scheme,
            viewport={"width": width, "height": HEIGHT[width]},
            reduced_motion="reduce",
        )
        visitor = Visitor(context, self.system.address)
        yield visitor
        context.close()
        self.problems += [f"{login}, {look}: {problem}" for problem in visitor.problems]

    def take(self, visitor: Visitor, scene: Scene, *, height: int) -> bytes:
        """The picture of a scene, down to `height`."""
        if time.monotonic() > self._deadline:
            raise SystemExit(f"Stopped at {scene.name}: longer than {TIME_MAX_S // 60} minutes")
        page = visitor.open(scene.path)
        scene.act(page)
        page.wait_for_load_state("networkidle")
        page.evaluate(DRAWN)
        size = page.viewport_size
        whole = page.evaluate("document.documentElement.scrollHeight")
        clip = {"x": 0, "y": 0, "width": size["width"], "height": min(whole, height)}
        return page.screenshot(clip=clip, full_page=True, caret="hide")

    def empty_page(self) -> Page:
        """A page without content and CSP, for working in."""
        return self._browser.new_page()


def everything(studio: Studio, *, only: str) -> None:
    """Take all scenes in all looks, and write the sheet that shows them."""
    shutil.rmtree(TAKEN, ignore_errors=True)
    (employee, *_), *_ = studio.rows(BUSY, 2)
    scenes = [scene for scene in scenes_of(employee, studio.rows) if only in scene.name]
    for look in LOOKS:
        take_look(studio, scenes, look)
    stopped = [Scene("admin", "/system", "stopped"), Scene(employee, "/tasks/mine", "stopped")]
    stopped = [scene for scene in stopped if only in scene.name]
    if stopped:
        done = studio.system.ates("stop", "--reason", "The roof of the server room leaks")
        assert done.returncode == 0, done.stderr
        for look in LOOKS:
            take_look(studio, stopped, look)
    write_sheet([scene.name for scene in scenes + stopped])


def take_look(studio: Studio, scenes: list[Scene], look: Look) -> None:
    """Take the scenes in one look, everyone at a browser of their own."""
    say(f"{len(scenes)} pages, {' '.join(map(str, look))}")
    folder = TAKEN / "-".join(map(str, look))
    folder.mkdir(parents=True, exist_ok=True)
    for login, own in itertools.groupby(scenes, key=lambda scene: scene.login):
        with studio.visit(login, look) as visitor:
            for scene in own:
                picture = studio.take(visitor, scene, height=HEIGHT_MAX[look[2]])
                (folder / f"{scene.name}.png").write_bytes(picture)


def scenes_of(employee: str, rows: Callable[..., list[Any]]) -> list[Scene]:
    """Every page of the table of pages, and moments that have no address of their own."""
    pages = [
        Scene(login, path)
        for login, own in paths_of(employee, rows).items()
        for path in own
        if path not in ONLY_IN_DEVELOPMENT
    ]
    moments = [
        Scene(employee, "/tasks/mine", "mine completed", complete_first),
        Scene(employee, "/tasks/mine", "mine refused", refuse),
        Scene(employee, "/tasks/mine", "mine created", create),
        Scene(employee, "/tasks/mine", "mine menu", lambda page: page.click("summary.account")),
        Scene("admin", "/corrections", "corrections refusing", lambda page: page.click(".unfold")),
        Scene(employee, "/analytics", "forbidden"),
        Scene(employee, "/nowhere", "not found"),
        Scene(None, "/sign-in", "sign in refused", sign_in_wrongly),
    ]
    return sorted(pages + moments, key=lambda scene: scene.login or "")


def complete_first(page: Page) -> None:
    """One's first task completed, and its reward posted; nothing where all are by now."""
    if not (buttons := page.locator("[data-complete]")).count():
        return
    buttons.first.click()
    page.wait_for_selector("tr.done")
    page.wait_for_selector("#earnings:not([hx-get])")


def refuse(page: Page) -> None:
    """A task with a name that is not one."""
    page.fill("#new [name=name]", "Oil the [hinges]")
    page.click("#new [type=submit]")
    page.wait_for_selector("[aria-invalid=true]")


def create(page: Page) -> None:
    """A task that was just created."""
    page.fill("#new [name=name]", "[CARE-12] Count the feathers")
    page.click("#new [type=submit]")
    page.wait_for_selector("#new .notice")


def sign_in_wrongly(page: Page) -> None:
    """A login and a password that do not fit."""
    page.fill("#field-login", "kesha")
    page.fill("#field-password", "not my password")
    page.press("#field-password", "Enter")
    page.wait_for_selector("main [role=alert]")


def for_readme(studio: Studio) -> None:
    """Take the four pictures of the README, with palettes."""
    README.mkdir(parents=True, exist_ok=True)
    (employee, *_), *_ = studio.rows(BUSY, 2)
    task = studio.rows(
        "SELECT id FROM tasks WHERE is_finished AND assignments BETWEEN 3 AND 5"
        " AND description <> '' ORDER BY id DESC LIMIT 1"
    )
    pictures = {
        "my-tasks": (Scene(employee, "/tasks/mine"), ("en", "light", 1280), 760),
        "report": (Scene("accountant", "/report"), ("en", "dark", 1280), 820),
        "story": (Scene("accountant", f"/tasks/{task[0][0]}"), ("en", "light", 1280), 560),
        "event-flow": (Scene("admin", "/system/events"), ("en", "light", 360), 740),
    }
    for name, (scene, look, height) in pictures.items():
        with studio.visit(scene.login, look) as visitor:
            picture = reduced(studio.empty_page(), studio.take(visitor, scene, height=height))
        say(f"docs/screenshots/{name}.png, {len(picture):,} bytes")
        assert len(picture) < README_BYTES_MAX, name
        (README / f"{name}.png").write_bytes(picture)


def write_sheet(names: Iterable[str]) -> None:
    """Write the page that shows all pictures, a row for each scene."""
    folders = ["-".join(map(str, look)) for look in LOOKS]
    head = "".join(f"<th>{folder}</th>" for folder in folders)
    rows = "".join(
        f"<tr><th>{html.escape(name)}</th>" + "".join(_cell(folder, name) for folder in folders)
        for name in names
    )
    text = (
        f"<!doctype html><title>aTES</title><style>{SHEET_STYLE}</style><table><tr><th></th>{head}"
    )
    (TAKEN / "index.html").write_text(f"{text}{rows}</table>\n")
    say(f"Look at {TAKEN / 'index.html'}")


SHEET_STYLE = (
    "body{font:14px sans-serif;background:#888}th{position:sticky;top:0;background:#eee}"
    "td{vertical-align:top}img{display:block;width:320px}img[src*='-360']{width:150px}"
)


def _cell(folder: str, name: str) -> str:
    source = f"{folder}/{html.escape(name)}.png"
    return f'<td><a href="{source}"><img src="{source}" loading="lazy" alt="{source}"></a></td>'


def say(what: str) -> None:
    """Tell what is being done."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {what}\n")


if __name__ == "__main__":
    sys.exit(main())
