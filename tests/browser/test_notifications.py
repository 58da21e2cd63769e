"""The bell: news of what others did comes by itself, is read by one click, and needs no script."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser
LIVE_MS = 15_000  # the relay and two rounds of asking, on a machine that has other work
ASSIGNABLE = "('boss', 'accountant', 'developer', 'other')"


@pytest.fixture
def drawing(rows: Callable[..., list[Any]]) -> Callable[[str], Any]:
    """A function of a login: meanwhile, the draw can fall on nobody else."""

    @contextmanager
    def drawing(login: str) -> Iterator[None]:
        change = f"UPDATE users SET is_active = %s WHERE login <> %s AND role IN {ASSIGNABLE}"
        rows(f"{change} RETURNING id", False, login)  # noqa: FBT003 - a parameter of SQL
        try:
            yield
        finally:
            rows(f"{change} RETURNING id", True, login)  # noqa: FBT003 - see above

    return drawing


def create_by_manager(visit: Any, name: str) -> None:
    page = visit("manager").open("/tasks/new")
    page.get_by_label("Name").or_(page.get_by_label("New task")).first.fill(name)
    page.get_by_role("button", name="Create task").click()
    expect(page.get_by_text(name).first).to_be_visible()


@pytest.mark.parametrize("path", ["/tasks/mine", "/account"])
def test_a_task_that_another_person_created_raises_the_counter(visit, busy, drawing, path):
    login = busy(1)
    page = visit(login).open(path)
    bell = page.locator("[data-bell]")
    before = int(bell.get_attribute("data-bell"))
    with drawing(login):
        create_by_manager(visit, f"Ring the bell on {path}")
    expect(bell).to_have_attribute("data-bell", str(before + 1), timeout=LIVE_MS)
    expect(bell).to_have_accessible_name(f"Notifications, unread: {before + 1}")
    expect(bell.locator("[data-count]")).to_have_text(str(before + 1))
    expect(page.locator("#status")).to_have_text(f"Notifications, unread: {before + 1}")


def test_it_is_read_without_scripts(visit, busy, drawing, rows):
    login = busy(1)
    with drawing(login):
        create_by_manager(visit, "Ring without scripts")
    told = "SELECT 1 FROM notification_events e JOIN tasks t ON t.id = e.task_id WHERE t.name = %s"
    page = visit(login, scripts=False).open("/notifications")
    for _ in range(50):
        if rows(told, "Ring without scripts"):
            break
        page.wait_for_timeout(100)
    page.reload()
    page.get_by_role("link", name="Ring without scripts").click()
    expect(page.locator("h1")).to_contain_text("Ring without scripts")
    page.get_by_role("link", name="Notifications, unread: ").click()
    page.get_by_role("button", name="Mark all as read").click()
    expect(page.get_by_text("All of them are marked as read.")).to_be_visible()
    expect(page.get_by_role("link", name="Notifications, unread: 0")).to_be_visible()
