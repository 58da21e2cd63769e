"""A company to test on: its clock, its relay, its ledger, and the oracle that checks them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.accounting.commands import ACCOUNTING
from app.kernel import clock
from app.kernel.db import in_transaction
from app.kernel.settings import Settings
from app.outbox import relay
from tests.oracle import findings


@dataclass(frozen=True)
class Company:
    """What a test does to the company as a whole, beside calling its commands."""

    call: Callable[..., Any]
    session: Session
    settings: Settings

    def post(self, **options: Any) -> relay.Drained:
        """Relay everything that waits to Accounting."""
        drained: relay.Drained = self.call(relay.drain, ACCOUNTING, **options)
        return drained

    def at(self, moment: datetime) -> None:
        """Make the business clock show `moment`."""
        self.call(in_transaction, lambda session: clock.move_to(session, moment))

    def rows(self, statement: str, **names: Any) -> list[Any]:
        """What a statement says now, for the application's role."""
        return list(self.session.execute(text(statement), names).all())

    def value(self, statement: str, **names: Any) -> Any:
        """The one value that a statement says now."""
        return self.session.execute(text(statement), names).scalar_one()

    def balances(self) -> dict[int, int]:
        """The balance, in minor units, of each employee who has an account."""
        found = self.rows("SELECT user_id, balance FROM accounts WHERE kind = 'employee'")
        return {row.user_id: row.balance for row in found}

    def broken_rules(self) -> dict[str, list[Any]]:
        """What the oracle finds wrong in the database."""
        with psycopg.connect(self.settings.database_url) as connection:
            return findings(connection)


@pytest.fixture
def company(call: Callable[..., Any], session: Session, settings: Settings) -> Company:
    return Company(call, session, settings)
