"""The guardian at ten million transfers: a round over what is new, and the round of the night."""

from __future__ import annotations

import time
from datetime import timedelta

from app.auth.actors import actor_named
from app.guardian.commands import check_everything, check_increment
from app.kernel.db import db, in_transaction, sql
from app.outbox import relay
from app.subscriptions import CONSUMERS
from app.tasks.commands import create_tasks
from app.tasks.models import Draft
from bench.report import Line
from bench.years import ADMINISTRATOR, Years

ROUNDS = 5
NEW_EVENTS = 500
INCREMENT_MS_MAX = 200
WHOLE_S_MAX = 120

# As if the guardian had watched all the years: what it would otherwise catch up, step by step.
CAUGHT_UP = """
UPDATE guardian_rounds r SET transfers_below = pg_snapshot_xmin(pg_current_snapshot()),
  events_xid = c.xid, events_id = c.id
FROM outbox_cursors c WHERE c.consumer = 'accounting'
"""
SLOWEST = sql("""
SELECT check_name, ms FROM guardian_results WHERE scope = :scope ORDER BY ms DESC LIMIT 3
""")


def measure(years: Years) -> list[Line]:
    """Milliseconds of an incremental round, seconds of the whole one; neither may find anything."""
    with years.stage.superuser(years.old.database) as connection:
        connection.execute(CAUGHT_UP)
    with years.stage.app(years.old.database):
        idle_ms = [_increment_ms(0) for _ in range(ROUNDS)]
        busy_ms = [_increment_ms(NEW_EVENTS) for _ in range(ROUNDS)]
        slow_steps = _slowest("increment")
        began = time.perf_counter()
        found = check_everything()
        whole_s = time.perf_counter() - began
        assert not found, found
        return [
            Line(
                what=f"incremental round, {NEW_EVENTS} new events",
                figure=f"{min(busy_ms):.0f} ms",
                target=f"< {INCREMENT_MS_MAX} ms",
                met=min(busy_ms) < INCREMENT_MS_MAX,
            ),
            Line(what="incremental round, nothing new", figure=f"{min(idle_ms):.0f} ms"),
            Line(what="its slowest checks", figure=slow_steps),
            Line(
                what="nightly round",
                figure=f"{whole_s:.0f} s",
                target=f"< {WHOLE_S_MAX} s",
                met=whole_s < WHOLE_S_MAX,
            ),
            Line(what="its slowest checks", figure=_slowest("whole")),
        ]


def _increment_ms(events: int) -> float:
    actor = in_transaction(lambda session: actor_named(session, ADMINISTRATOR))
    if events:
        create_tasks(actor, [Draft(f"New task {number}") for number in range(events)])
        for consumer in CONSUMERS:
            relay.drain(consumer)
    began = time.perf_counter()
    found = check_increment()
    took_ms = (time.perf_counter() - began) * 1000
    assert not found, found
    return took_ms


def _slowest(scope: str) -> str:
    rows = db.session().execute(SLOWEST, {"scope": scope})
    return "; ".join(f"{row.check_name}: {timedelta(milliseconds=row.ms)}" for row in rows)
