"""A board whose draws are known, and what it told people.

board    board.give(person, "a task"): draws `person` for a new task; board.reassign_to(person);
         board.told(): everybody's lines after the relay has told them
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from app.kernel.unread import unread_sql
from app.notifications.consumer import CONSUMER
from app.outbox import relay
from app.tasks import commands
from app.tasks.models import Draft
from tests.company import Company, company
from tests.payments.conftest import mail_server

__all__ = ["board", "company", "mail_server"]
CAN_BE_DRAWN = """
UPDATE users SET is_active = (id = :id) WHERE role IN ('developer', 'other') RETURNING id
"""
ALL_CAN = "UPDATE users SET is_active = true RETURNING id"
LINES = """
SELECT n.id, u.login, n.given, n.kept, n.taken, n.paid, a.login AS actor
FROM notifications n JOIN users u ON u.id = n.user_id LEFT JOIN users a ON a.id = n.actor_id
ORDER BY n.id
"""


@dataclass(frozen=True)
class Board:
    """The task board of a manager who decides on whom the draw falls."""

    company: Company
    manager: Any

    def give(self, person: Any, *names: str, by: Any = None) -> list[int]:
        """Create tasks in one transaction, all drawn for `person`; their ids."""
        drafts = [Draft(name) for name in names or ("Feed the birds",)]
        made = self._drawing(person, commands.create_tasks, (by or self.manager).actor, drafts)
        return [task.task_id for task in made]

    def reassign_to(self, person: Any) -> None:
        """Reassign all open tasks, each drawn for `person`."""
        self._drawing(person, commands.reassign_tasks, self.manager.actor)

    def relay(self, **options: Any) -> relay.Drained:
        """Let the consumer hear what waits."""
        drained: relay.Drained = self.company.call(relay.drain, CONSUMER, **options)
        return drained

    def told(self) -> list[tuple[Any, ...]]:
        """Relay, and say all lines: to whom, given, kept, taken, paid, by whom."""
        self.relay()
        return [tuple(row[1:]) for row in self.company.rows(LINES)]

    def unread(self, person: Any) -> int:
        """How many unread lines the header of each page shows to `person`."""
        count: int = self.company.value(f"SELECT {unread_sql(':id')}", id=person.id)
        return count

    def _drawing(self, person: Any, command: Callable[..., Any], *args: Any) -> Any:
        self.company.rows(CAN_BE_DRAWN, id=person.id)
        try:
            return self.company.call(command, *args)
        finally:
            self.company.rows(ALL_CAN)


@pytest.fixture
def board(company: Company, make_user: Callable[..., Any]) -> Board:
    return Board(company, make_user("manager", "boris"))
