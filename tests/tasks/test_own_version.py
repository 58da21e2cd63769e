"""The version of one's own tasks changes with what others do to them, and with money."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from app.accounting.commands import ACCOUNTING
from app.outbox import relay
from app.tasks import commands

URL = "/tasks/mine/version"


@pytest.fixture
def person(make_user: Callable[..., Any]) -> Any:
    return make_user("developer")


@pytest.fixture
def browser(sign_in: Callable[..., Any], person: Any) -> Any:
    return sign_in(person)


def parts(browser: Any) -> dict[str, str]:
    version = browser.get(URL).json["version"]
    return dict(part.split("=") for part in version.split(";"))


def test_the_same_version_is_a_304(browser: Any) -> None:
    etag = browser.get(URL).headers["ETag"]
    again = browser.client.get(URL, headers={"If-None-Match": etag})
    assert (again.status_code, again.data) == (304, b"")


def test_a_task_given_is_another_version(
    browser: Any, person: Any, call: Callable[..., Any]
) -> None:
    before = parts(browser)
    call(commands.create_task, person.actor, name="Another one")
    after = parts(browser)
    assert after["tasks"] != before["tasks"]
    assert after["money"] == before["money"]
    call(relay.drain, ACCOUNTING)
    assert parts(browser)["money"] != before["money"]


def test_completing_a_task_changes_only_money(
    browser: Any, person: Any, call: Callable[..., Any]
) -> None:
    task = call(commands.create_task, person.actor, name="To be done")
    call(relay.drain, ACCOUNTING)
    before = parts(browser)
    call(commands.complete_task, person.actor, task.task_id)
    call(relay.drain, ACCOUNTING)
    after = parts(browser)
    assert after["tasks"] == before["tasks"]
    assert after["money"] != before["money"]
