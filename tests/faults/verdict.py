"""The verdict: what the journal claims against what the database holds."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import psycopg

from tests.faults.journal import Attempt, Journal, State
from tests.oracle import findings

LOG_ID = "SELECT coalesce(max(id), 0) FROM logs"
CREATED = "SELECT name, count(*) FROM tasks WHERE name LIKE %s GROUP BY name"
COMPLETED = """
SELECT task_id, count(*) FROM logs WHERE type = 'complete' AND id > %s GROUP BY task_id
"""
# Each reassignment is one transaction, known by the number of tasks that it gave away.
REASSIGNED = """
SELECT count(*) FROM outbox o JOIN logs l USING (event_id)
WHERE o.type = 'TaskAssigned' AND l.id > %s GROUP BY o.xid
"""
# Log entries that should move money once: how many moved none, and how many more than once.
MONEY = """
SELECT count(*) FILTER (WHERE n = 0), count(*) FILTER (WHERE n > 1) FROM (
  SELECT l.id, count(t.id) AS n FROM logs l LEFT JOIN account_transfers t USING (event_id)
  WHERE l.type <> 'other' GROUP BY l.id) AS entries
"""


@dataclass(slots=True)
class Outcome:
    """What came of a play: counts of attempts and of harm, and in words what is wrong."""

    attempts: int = 0
    acknowledged: int = 0
    unknown: int = 0
    lost: int = 0
    doubled: int = 0
    kills: int = 0
    recover_s: list[float] = field(default_factory=list)
    # Seconds of what a row promises besides, by what they are of.
    figures: dict[str, list[float]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    # Whether the system had started at all, so that what is wrong is of the play.
    is_played: bool = True

    @property
    def is_harmed(self) -> bool:
        """Whether anything is not as it must be."""
        return bool(self.lost or self.doubled or self.wrong)

    @property
    def is_noticed(self) -> bool:
        """Whether a control came to the harm that it must: a rig that fails has shown none."""
        return self.is_played and self.is_harmed

    def harm(self) -> str:
        """What is not as it must be, in words."""
        return f"{self.lost} lost, {self.doubled} doubled; {'; '.join(self.wrong) or 'else right'}"

    def check(self, holds: object, otherwise: str) -> None:
        """Note `otherwise` unless something `holds`."""
        if not holds:
            self.wrong.append(otherwise)

    def add(self, other: Outcome) -> None:
        """Count what came of another play in."""
        for name in ("attempts", "acknowledged", "unknown", "lost", "doubled", "kills"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.recover_s += other.recover_s
        for what, times in other.figures.items():
            self.figures.setdefault(what, []).extend(times)
        self.wrong += other.wrong


@dataclass(frozen=True, slots=True)
class Baseline:
    """Where the log stood before the play."""

    log_id: int

    @classmethod
    def of(cls, connection: psycopg.Connection[Any]) -> Baseline:
        row = connection.execute(LOG_ID).fetchone()
        assert row
        return cls(row[0])


def judge(
    journal: Journal, connection: psycopg.Connection[Any], before: Baseline, prefix: str
) -> Outcome:
    """Whether acknowledged ⊆ database ⊆ attempted, effects once, and no rule is broken."""
    outcome = Outcome(
        attempts=len(journal.attempts),
        acknowledged=journal.count(State.OK),
        unknown=journal.count(State.UNKNOWN),
        wrong=list(dict.fromkeys(journal.undocumented)),
    )
    created = dict(connection.execute(CREATED, [f"{prefix}%"]).fetchall())
    _judge_each(outcome, "task", journal.of("create"), created)
    completed = dict(connection.execute(COMPLETED, [before.log_id]).fetchall())
    _judge_each(outcome, "completion of task", journal.of("complete"), completed)
    given = Counter(row[0] for row in connection.execute(REASSIGNED, [before.log_id]))
    _judge_reassignments(outcome, journal, given)
    unpaid, overpaid = connection.execute(MONEY).fetchall()[0]
    outcome.lost += unpaid
    outcome.doubled += overpaid
    outcome.wrong += [f"{rule}: {rows[:3]}" for rule, rows in findings(connection).items()]
    return outcome


def _judge_each(
    outcome: Outcome, what: str, attempts: list[Attempt], found: dict[Any, int]
) -> None:
    states: dict[Any, set[State]] = {}
    for attempt in attempts:
        states.setdefault(attempt.subject, set()).add(attempt.state)
    for subject, known in states.items():
        if State.OK in known and subject not in found:
            outcome.lost += 1
            outcome.wrong.append(f"{what} {subject} was acknowledged and is not there")
        if known == {State.FAILED} and subject in found:
            outcome.wrong.append(f"{what} {subject} was refused and is there")
    for subject, count in found.items():
        if count > 1:
            outcome.doubled += 1
            outcome.wrong.append(f"{what} {subject} is there {count} times")
        if subject not in states:
            outcome.wrong.append(f"{what} {subject} is there, and nobody asked for it")


def _judge_reassignments(outcome: Outcome, journal: Journal, given: Counter[int]) -> None:
    claimed = Counter(
        attempt.said["reassigned"]
        for attempt in journal.of("reassign", State.OK)
        if attempt.said["reassigned"]
    )
    missing, unclaimed = claimed - given, given - claimed
    if missing:
        outcome.lost += missing.total()
        outcome.wrong.append(f"reassignments of {list(missing)} tasks are not there")
    if unclaimed.total() > len(journal.of("reassign", State.UNKNOWN)):
        outcome.doubled += 1
        outcome.wrong.append(f"reassignments of {list(unclaimed)} tasks, and nobody asked")
