"""The oracle of every fault and flow test: what must hold in the database, whatever happened.

Its rules are the guardian's, which are declared once (app.guardian.checks), over everything, and
that nothing is left to be posted. `findings` is empty when all rules hold.
tests/faults/test_oracle.py breaks each rule and sees the check fail.
"""

from __future__ import annotations

from typing import Any

import psycopg

from app.guardian import checks

CHECKS: dict[str, str] = {
    **{check.name: check.whole for check in checks.CHECKS if check.is_money},
    "no event is parked": checks.BY_NAME["no event is parked"].whole,
    "no event waits": """
        SELECT o.event_id FROM outbox o LEFT JOIN outbox_cursors c ON c.consumer = 'accounting'
        WHERE (o.xid, o.id) > (coalesce(c.xid, '0'), coalesce(c.id, 0))""",
}


def findings(connection: psycopg.Connection[Any]) -> dict[str, list[Any]]:
    """The rows that break each rule, at most ten of each; empty when all rules hold."""
    broken = {}
    for rule, statement in CHECKS.items():
        rows = connection.execute(f"SELECT * FROM ({statement}\n) AS broken LIMIT 10").fetchall()
        if rows:
            broken[rule] = rows
    return broken
