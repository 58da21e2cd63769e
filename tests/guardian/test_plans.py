"""The increment of each check looks rows up by index: it must not grow with the ledger."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from flask import Flask

from app.guardian.checks import CHECKS
from app.guardian.commands.rounds import FOR_READING
from app.kernel.db import db
from tests.company import Company
from tests.conftest import User
from tests.guardian.played import play
from tests.guardian.test_checks import CURSOR, WINDOW

LARGE = (
    r"outbox_(?:\d+|default)",
    "logs",
    "account_transfers",
    "tasks",
    "account_days",
    "task_prices",
)
WHOLE_TABLE = re.compile(rf"Seq Scan on ({'|'.join(LARGE)})\b")


def plan(statement: str, names: dict[str, Any], *, as_a_round: bool) -> str:
    session: Any = db.session()
    try:
        if as_a_round:
            session.execute(FOR_READING["increment"])
        rows = session.execute(sa.text(f"EXPLAIN {statement}"), names)
        return "\n".join(row[0] for row in rows)
    finally:
        session.rollback()


def test_no_increment_reads_a_large_table_whole(
    app: Flask, make_user: Callable[..., User], company: Company
) -> None:
    play(app, make_user)
    names = {**WINDOW, **company.session.execute(CURSOR).one()._mapping}
    with app.app_context():
        for check in CHECKS:
            if check.increment:
                found = plan(check.increment, names, as_a_round=True)
                assert not WHOLE_TABLE.search(found), f"{check.name}\n{found}"
        control = [
            check.name
            for check in CHECKS
            if check.increment
            and WHOLE_TABLE.search(plan(check.increment, names, as_a_round=False))
        ]
    assert control, "control: as the planner would have it, some would"
