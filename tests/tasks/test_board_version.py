"""The board's version changes with every change of a task, and says how many there were."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from app.tasks import commands


def test_a_change_on_the_board_is_told_with_its_number(
    make_user: Callable[..., Any], sign_in: Callable[..., Any], call: Callable[..., Any]
) -> None:
    manager, person = make_user("manager"), make_user("developer")
    call(commands.create_task, manager.actor, name="There before")
    browser = sign_in(manager)
    live = re.findall(r'data-live="([^"]+)" data-version="([^"]+)"', browser.get("/tasks").text)
    url, version = live[-1]  # the first is the header's
    asked = {"headers": {"If-None-Match": f'"{version}"'}}
    assert browser.client.get(url, **asked).status_code == 304
    made = call(commands.create_task, manager.actor, name="Another")
    call(commands.complete_task, person.actor, made.task_id)
    answer = browser.client.get(url, **asked)
    assert answer.status_code == 200
    assert answer.json["version"] != version
    assert answer.json["words"] == {"board": "2 changes on the board"}
