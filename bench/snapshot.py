"""The relay's rate while somebody holds a snapshot of the database, beside its rate without.

A snapshot keeps every version of every row that was there when it was taken or came later: nothing
that the relay replaces (balances, roll-ups, its cursor) can be cleared away meanwhile.
"""

from __future__ import annotations

import time
from contextlib import ExitStack

import psycopg

from app.accounting.commands import ACCOUNTING
from app.outbox import relay
from bench.relay import prepare
from bench.report import Line, at_least
from bench.stage import Stage

EMPLOYEES = 1_000
HELD_S = 45.0
# More than is posted in that time.
TASKS = 400_000
ROUNDS = 2


def measure(stage: Stage) -> list[Line]:
    """Events a second over 45 s, each side on a fresh copy of the same backlog, in turn."""
    template = prepare(stage, tasks=TASKS, employees=EMPLOYEES, tasks_per_transaction=2_000)
    free, held = [], []
    for _ in range(ROUNDS):
        free.append(_rate(stage, template, is_held=False))
        held.append(_rate(stage, template, is_held=True))
    stage.drop(template)
    return [
        at_least(
            0.75,
            f"relay, a snapshot held for {HELD_S:.0f} s",
            f"{max(held):,.0f}/s",
            ratio=max(held) / max(free),
            against="without",
        ),
        Line(what="without", figure=f"{max(free):,.0f}/s"),
    ]


def _rate(stage: Stage, template: str, *, is_held: bool) -> float:
    database = stage.copy(template)
    with ExitStack() as stack:
        if is_held:
            holder = stack.enter_context(stage.superuser(database))
            holder.autocommit = False
            holder.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            holder.execute("SELECT count(*) FROM accounts")
        stack.enter_context(stage.app(database))
        rate = _drained_per_s()
    stage.drop(database)
    return rate


def _drained_per_s() -> float:
    events, began = 0, time.perf_counter()
    while (elapsed_s := time.perf_counter() - began) < HELD_S:
        read, parked = relay.deliver_batch(ACCOUNTING)
        assert read == relay.BATCH, "the backlog was too short"
        assert parked == 0
        events += read
    return events / elapsed_s
