"""A whole running system with a demo company, and real browsers in front of it.

system  the running system, one for all tests here; system.address, system.env
visit   visit(login, language="en", scheme="light", width=1280, scripts=True): a Visitor, signed in
        unless login is None. At the end no page may have broken the content security policy,
        written an error to the console, failed in a script, or asked another origin.
visiting  makes contexts that give such a function: for fixtures that outlive a test
rows    rows(statement, …): what the system's database says
busy    busy(2): the login of somebody with that many open tasks, another one at each call

Chromium is found on PATH. Without it these tests fail where CI=true, and are skipped elsewhere.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import psycopg
import pytest
from playwright.sync_api import Browser, StorageState, sync_playwright

from app import create_app
from app.demo.history import seed
from app.kernel.db import db
from app.kernel.settings import Settings
from embedded.postgres import Cluster
from embedded.valkey import Server
from tests.browser.visitors import BUSY, CALM, Visitor, chromium_path
from tests.databases import Databases
from tests.flows.running import Running, started

DAYS = 8  # a week of history fills every page, and is told sooner than a month
WIDE, TALL = 1280, 900
MORE_TASKS = 150  # some six for each


@pytest.fixture(scope="session")
def chromium() -> str:
    found = chromium_path()
    if found is None and os.environ.get("CI") == "true":
        pytest.fail("No Chromium on PATH: .ci/run installs it")
    if found is None:
        pytest.skip("NO CHROMIUM ON PATH: the pages are not tested in a browser")
    return found


@pytest.fixture(scope="session")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CALM)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def system(
    chromium: str,
    cluster: Cluster,
    valkey: Server,
    databases: Databases,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Running]:
    env = {
        "DATABASE_URL": cluster.owner_url(databases.take()),
        "REDIS_URL": valkey.url,
        "ATES_DEMO": "1",
        "ATES_DEV": "1",
    }
    app = create_app(Settings.from_env({**env, "SECRET_KEY": "0123456789abcdef" * 3}))
    with app.app_context():
        seed(lambda _done, _all: None, days=DAYS)
        db.session.remove()
        db.engine.dispose()
    with started(tmp_path_factory.mktemp("browser") / "data", **env) as running:
        yield running


@pytest.fixture(scope="session")
def states() -> dict[str, StorageState]:
    """The cookies of those who have signed in."""
    return {}


@pytest.fixture(scope="session")
def visiting(
    system: Running, browser: Browser, states: dict[str, StorageState]
) -> Callable[[], AbstractContextManager[Callable[..., Visitor]]]:
    return lambda: _visiting(system, browser, states)


@pytest.fixture
def visit(
    visiting: Callable[[], AbstractContextManager[Callable[..., Visitor]]],
) -> Iterator[Callable[..., Visitor]]:
    with visiting() as visit:
        yield visit


@contextmanager
def _visiting(
    system: Running, browser: Browser, states: dict[str, StorageState]
) -> Iterator[Callable[..., Visitor]]:
    visitors: list[Visitor] = []

    def enter(**options: Any) -> Visitor:
        visitors.append(Visitor(browser.new_context(**options), system.address))
        return visitors[-1]

    def visit(
        login: str | None = None,
        *,
        language: str = "en",
        scheme: str = "light",
        width: int = WIDE,
        scripts: bool = True,
    ) -> Visitor:
        if login is not None and login not in states:
            first = Visitor(browser.new_context(), system.address)
            first.sign_in(login)
            states[login] = first.context.storage_state()
            first.close()  # its page would ask on, whatever the test does to the server
        return enter(
            storage_state=states[login] if login else None,
            locale={"en": "en-US", "ru": "ru-RU"}[language],
            color_scheme=scheme,
            viewport={"width": width, "height": TALL},
            java_script_enabled=scripts,
            reduced_motion="reduce",
        )

    yield visit
    for visitor in visitors:
        visitor.close()


@pytest.fixture(scope="session")
def rows(system: Running) -> Callable[..., list[Any]]:
    def rows(statement: str, *values: Any) -> list[Any]:
        with psycopg.connect(system.env["DATABASE_URL"]) as connection:
            return connection.execute(statement, values).fetchall()

    return rows


@pytest.fixture(scope="session")
def busy(
    system: Running, rows: Callable[..., list[Any]], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[int], str]:
    """The login of somebody with open tasks whom no test has had, while there is one.

    How much the demo company has open depends on the time of day. When nobody is left, tasks are
    imported, and everybody can be had again.
    """
    taken: set[str] = set()
    backlog = tmp_path_factory.mktemp("backlog") / "backlog.csv"

    def free(at_least: int) -> list[str]:
        return [login for (login,) in rows(BUSY, at_least) if login not in taken]

    def busy(at_least: int) -> str:
        if not free(at_least):
            backlog.write_text("\n".join(["Summary", *["Fill the day"] * MORE_TASKS]))
            done = system.ates("import-tasks", str(backlog))
            assert done.returncode == 0, done.stderr
            taken.clear()
        login = free(at_least)[0]
        taken.add(login)
        return login

    return busy
