"""The faults, by number: what each is, how it is played, and what its control breaks."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Protocol

from tests.faults import (
    disk,
    network,
    rows_cluster,
    rows_disk,
    rows_guardian,
    rows_log,
    rows_mail,
    rows_migration,
    rows_partition,
    rows_pressure,
    rows_processes,
    rows_redis,
    rows_time,
)
from tests.faults.storm import Stage
from tests.faults.system import NotStarted, System, system
from tests.faults.verdict import Outcome

# A fault strikes where its seed says; one that hit nothing says nothing, so the next is tried.
CONTROL_SEEDS = 4


class Play(Protocol):
    """Plays a fault once; sabotaged, the rule that it is about is broken first."""

    def __call__(self, stage: Stage, dice: Random, /, *, sabotaged: bool) -> Outcome: ...


@dataclass(frozen=True, slots=True)
class Fault:
    """A row of the table.

    `impossible` says why this machine cannot play it, or None; `on` starts what it is played on.
    """

    number: int
    name: str
    play: Play
    sabotage: str
    impossible: Callable[[], str | None] = lambda: None
    on: Callable[[Path], AbstractContextManager[System]] = system

    def run(self, stage: Stage, seed: int, *, sabotaged: bool = False) -> Outcome:
        """Play it by `seed`; whatever is raised is what is wrong."""
        dice = Random(f"{seed} {self.number}")
        try:
            return self.play(stage, dice, sabotaged=sabotaged)
        except Exception as error:  # noqa: BLE001 - told in the table; the other rows go on
            wrong = [f"{type(error).__name__}: {error}"]
            return Outcome(wrong=wrong, is_played=not isinstance(error, NotStarted))

    def control(self, stage: Stage, seed: int) -> Outcome:
        """What came of it sabotaged, which must be harm: by a few seeds from `seed`, if need be."""
        for tried in range(seed, seed + CONTROL_SEEDS):
            outcome = self.run(stage, tried, sabotaged=True)
            if outcome.is_noticed:
                break
        return outcome


FAULTS: tuple[Fault, ...] = (
    Fault(0, "all killed at random", rows_processes.everything_killed, "commits answered early"),
    Fault(1, "worker killed mid-batch", rows_processes.worker_killed, "cursor moves first"),
    Fault(
        2,
        "killed after the commit",
        rows_processes.killed_after_commit,
        "cursor moves later, ledger does not look, keys stored later",
    ),
    Fault(3, "PostgreSQL backend killed", rows_processes.backend_killed, "commits answered early"),
    Fault(
        4,
        "primary killed, promoted",
        rows_cluster.primary_killed,
        "asynchronous, standby lags",
        on=rows_cluster.replicated,
    ),
    Fault(
        5,
        "power loss",
        rows_disk.power_lost,
        "commits answered early, fsync off",
        impossible=disk.no_loop,
    ),
    Fault(
        6,
        "standby frozen",
        rows_cluster.standby_frozen,
        "commits do not wait",
        on=rows_cluster.replicated,
    ),
    Fault(
        7,
        "synchronous wait cancelled",
        rows_cluster.wait_cancelled,
        "the warning is not heard",
        on=rows_cluster.replicated,
    ),
    Fault(8, "split brain", rows_cluster.split_brain, "no fence", on=rows_cluster.replicated),
    Fault(
        9,
        "partition",
        rows_partition.partitioned,
        "commits do not wait, no TCP time-outs",
        impossible=network.impossible,
        on=rows_partition.apart,
    ),
    Fault(10, "Redis wiped", rows_redis.wiped, "schedule registered once"),
    Fault(11, "Redis dead", rows_redis.dead, "the bell must ring"),
    Fault(12, "Redis stalled", rows_redis.stalled, "no time-outs"),
    Fault(13, "Sentinel failover", rows_redis.failed_over, "the first master is kept"),
    Fault(14, "mail server refuses, hangs", rows_mail.refuses, "no backoff, no end"),
    Fault(15, "mail server drops", rows_mail.drops, "a new Message-ID each time"),
    Fault(16, "three schedulers", rows_time.three_schedulers, "ticks are not claimed"),
    Fault(17, "clock jump", rows_time.clock_jumps, "time of the process"),
    Fault(18, "midnight and DST", rows_time.days_of_23_and_25_hours, "a day is 24 hours"),
    Fault(
        19,
        "disk full",
        rows_disk.full,
        "a full disk is no outage",
        impossible=disk.impossible,
    ),
    Fault(20, "pool exhausted", rows_pressure.pool_exhausted, "the pool is waited for"),
    Fault(21, "deadlock, serialization", rows_pressure.deadlocked, "one attempt"),
    Fault(22, "double submit", rows_pressure.submitted_twice, "keys stored later"),
    Fault(23, "history delivered twice", rows_log.delivered_twice, "ledger does not look"),
    Fault(24, "out of order", rows_log.out_of_order, "no completion before its assignment"),
    Fault(25, "poison event", rows_log.poisoned, "whole batch parked"),
    Fault(26, "paused lock holder", rows_pressure.holder_paused, "transactions may idle"),
    Fault(27, "migration under load", rows_migration.migrated, "locks are waited for"),
    Fault(
        28,
        "restore to a moment",
        rows_cluster.restored,
        "archive has a gap",
        on=rows_cluster.replicated,
    ),
    Fault(29, "bit rot", rows_disk.rotten, "no checksums"),
    Fault(30, "guardian killed", rows_guardian.guardian_killed, "no look at the heartbeat"),
)
BY_NUMBER = {fault.number: fault for fault in FAULTS}
