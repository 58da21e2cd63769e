"""Traffic, and a fault in it again and again; then all must be healed, posted and right."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import Any

import psycopg
import requests

from tests.faults.clients import CLIENTS, Crowd
from tests.faults.journal import Journal, State
from tests.faults.system import HEAL_S, START_S, System, starting
from tests.faults.verdict import Baseline, Outcome, judge

POSTED = """
SELECT NOT EXISTS (SELECT FROM outbox o LEFT JOIN outbox_cursors c ON c.consumer = 'accounting'
                   WHERE (o.xid, o.id) > (coalesce(c.xid, '0'), coalesce(c.id, 0)))
"""
# Ordered by the column: by its name alone it would be by the text, in which 999 is above 1000.
NEWEST = "SELECT o.xid::text, o.id FROM outbox o ORDER BY o.xid DESC, o.id DESC LIMIT 1"
PASSED = """
SELECT (xid, id) >= (CAST(%s AS xid8), CAST(%s AS bigint)) FROM outbox_cursors
WHERE consumer = 'accounting'
"""


@dataclass(slots=True)
class Stage:
    """Where faults are played: the system, how long, and what a play may ask for."""

    system: System
    seconds: float = 4.0
    # The least number of rounds of a storm, however long they take.
    rounds: int = 2
    # Whether what takes long is to be left to bin/faults.
    is_short: bool = False


REDONE = "work of a killed worker done again"

# Does harm, lets it last, heals it; returns how many processes it killed.
Strike = Callable[[System, Random], int]


def storm(
    stage: Stage,
    dice: Random,
    strike: Strike,
    *,
    clients: int = CLIENTS,
    pause_s: float = 0.6,
    look: Callable[[Journal, Outcome], None] = lambda _journal, _outcome: None,
) -> Outcome:
    """Strike into traffic until the stage's time is over, and judge what is left.

    `look` may say more of the journal.
    """
    system = stage.system
    with starting():  # what was before is over, and every program has started
        recover(system, START_S)
    with system.connect() as connection:
        before = Baseline.of(connection)
    crowd = Crowd(system, dice, clients=clients)
    kills, recover_s, redone_s, rounds, end_at = 0, [], [], 0, time.monotonic() + stage.seconds
    system.worker_killed_at = None
    with crowd.at_work() as journal:
        while rounds < stage.rounds or time.monotonic() < end_at:
            time.sleep(pause_s * (0.3 + dice.random()))
            kills += strike(system, dice)
            recover_s.append(recover(system))
            if system.worker_killed_at:
                redone_s.append(time.monotonic() - system.worker_killed_at)
                system.worker_killed_at = None
            rounds += 1
        # A busy machine may not have come to a single request.
        system.wait_for(lambda: journal.count(State.OK) > 0, "something is acknowledged")
    drained_s = system.wait_for(lambda: is_posted(system), "everything is posted")
    with settled(system) as connection:
        outcome = judge(journal, connection, before, crowd.prefix)
    outcome.kills, outcome.recover_s = kills, recover_s
    if redone_s:
        outcome.figures[REDONE] = redone_s
    outcome.check(drained_s < HEAL_S, f"the backlog took {drained_s:.1f} s")
    outcome.check(outcome.acknowledged > 0, "nothing was acknowledged at all")
    look(journal, outcome)
    return outcome


def recover(system: System, timeout_s: float = HEAL_S) -> float:
    """Seconds until a write is answered and everything written before it is posted."""
    began = time.monotonic()
    system.wait_for(lambda: writes(system), "a write is answered", timeout_s)
    mark: list[tuple[str, int]] = []
    system.wait_for(lambda: _passed(system, mark), "what was written is posted", timeout_s)
    return time.monotonic() - began


def writes(system: System) -> bool:
    """Whether a write is answered with success."""
    headers = {"Authorization": f"Bearer {system.token('mary')}"}
    url = f"{system.address}/api/v1/tasks"
    try:
        answer = requests.post(url, json={"name": "Probe"}, headers=headers, timeout=5)
    except requests.RequestException:
        return False
    return answer.ok


def is_posted(system: System) -> bool:
    """Whether no event waits."""
    return bool(system.one(POSTED))


@contextmanager
def settled(system: System) -> Iterator[psycopg.Connection[Any]]:
    """One snapshot of the database in which no event waits.

    A request that its client gave up may still go on: what it writes later is in no snapshot of
    before, and counts nowhere.
    """
    give_up_at = time.monotonic() + HEAL_S
    with system.connect() as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        while True:
            with connection.transaction():
                row = connection.execute(POSTED).fetchone()
                if row and row[0]:
                    yield connection
                    return
            assert time.monotonic() < give_up_at, f"not within {HEAL_S:.0f} s: all is posted"
            time.sleep(0.03)


def _passed(system: System, mark: list[tuple[str, int]]) -> bool:
    try:
        with system.connect() as connection:
            if not mark:
                newest = connection.execute(NEWEST).fetchone()
                if newest is None:
                    return True
                mark.append((newest[0], newest[1]))
            row = connection.execute(PASSED, mark[0]).fetchone()
    except psycopg.OperationalError:
        return False
    return bool(row and row[0])
