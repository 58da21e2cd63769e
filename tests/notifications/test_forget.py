"""Old notifications are forgotten, a bounded number at a time; newer ones stay."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from app.notifications import commands
from app.notifications.models import KEEP_DAYS
from tests.notifications.conftest import Board

LEFT = """
SELECT (SELECT count(*) FROM notifications) AS lines,
       (SELECT count(*) FROM notification_events) AS events
"""


def test_what_is_older_than_the_limit_is_forgotten_and_not_told_again(
    board: Board, make_user: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "FORGET_AT_ONCE", 4)
    ann = make_user("developer", "ann")
    company = board.company
    now = company.value("SELECT business_now()")
    company.at(now - timedelta(days=KEEP_DAYS - 1))
    board.give(ann, *(f"old {n}" for n in range(10)))
    board.give(ann, "old alone")
    company.at(now)
    board.give(ann, "new", "newer")
    board.relay()
    assert company.call(commands.forget_old) == 0
    assert tuple(company.rows(LEFT)[0]) == (3, 13)
    company.at(now + timedelta(days=2))
    assert company.call(commands.forget_old) == 2
    assert tuple(company.rows(LEFT)[0]) == (1, 2)
    company.rows("UPDATE outbox_cursors SET xid = '0', id = 0 RETURNING id")
    board.relay()
    assert tuple(company.rows(LEFT)[0]) == (1, 2)
