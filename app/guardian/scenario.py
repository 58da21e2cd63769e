"""The planned scenarios, declared once: what follows from what is done, and from a day's end.

The guardian's checks, the tests' oracle, the replay and the doctor all read this declaration.
Accounting does not: it is what is checked.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """Something that happens to a task, and what has to come of it exactly once.

    `log` is the type of its log entry, `event` the event's, `transfer` the kind of the transfer
    that is made, `price` the column of `task_prices` with its amount.
    """

    log: str
    event: str
    transfer: str
    price: str


STEPS: tuple[Step, ...] = (
    Step("create", "TaskCreated", "assign_fee", "assign_price"),
    Step("assign", "TaskAssigned", "assign_fee", "assign_price"),
    Step("complete", "TaskCompleted", "completion_reward", "complete_price"),
)


@dataclass(frozen=True, slots=True)
class Closing:
    """What a closed day owes to each account with more than `above_cents` at its end, once.

    A row of `payouts`; a transfer of the kind `transfer` of the whole balance; an event of the type
    `event`, in the same transaction, that says the amount and the day; a mail of the kind `mail`.
    The balance is zero then. Nobody else is owed anything.
    """

    transfer: str
    event: str
    mail: str
    above_cents: int


PAYOUT = Closing("payout", "PayoutMade", "payout", 0)
# A task's story: the types of its log entries in order, with a space between them.
STORY = r"^create( assign)*( complete)?$"
# Which side of a transfer the employee is on, and which account of the company the other is.
COUNTERPARTIES: dict[str, tuple[str, str]] = {
    "assign_fee": ("debit", "company_income"),
    "completion_reward": ("credit", "company_expense"),
    PAYOUT.transfer: ("debit", "payroll_clearing"),
}

_WORD = re.compile(r"[A-Za-z_]+")


def steps_sql() -> str:
    """A row source `steps (log_type, event_type, transfer_kind, amount_is)` of the declaration."""
    rows = ", ".join(
        f"('{step.log}', '{step.event}', '{step.transfer}', '{step.price}')" for step in STEPS
    )
    assert all(
        _WORD.fullmatch(word)
        for step in STEPS
        for word in (step.log, step.event, step.transfer, step.price)
    )
    return f"(VALUES {rows}) AS steps (log_type, event_type, transfer_kind, amount_is)"


def log_types_sql() -> str:
    """The types of log entries that a step makes, as the inside of `IN (…)`."""
    return ", ".join(f"'{step.log}'" for step in STEPS)


def by_log_type_sql(log_type: str, part: str, *, table: str = "") -> str:
    """What `part` of the step is, for the type in the column `log_type`: text, or a column.

    `part` is `event` or `transfer`; with `price`, `table` is the alias whose column is meant. An
    expression, where a join with the steps would hide from the planner how many rows there are.
    """
    said = {
        step.log: f"{table}.{step.price}" if part == "price" else f"'{getattr(step, part)}'"
        for step in STEPS
    }
    whens = " ".join(f"WHEN '{log}' THEN {value}" for log, value in said.items())
    return f"CASE {log_type} {whens} END"


def transfer_kinds_sql() -> str:
    """The kinds of transfers that a step makes, as the inside of `IN (…)`."""
    return ", ".join(sorted({f"'{step.transfer}'" for step in STEPS}))


def event_types_sql() -> str:
    """The types of events that a step makes, as the inside of `IN (…)`."""
    return ", ".join(f"'{step.event}'" for step in STEPS)


def counterparties_sql() -> str:
    """A row source `sides (transfer_kind, owner_side, other_kind)`."""
    rows = ", ".join(
        f"('{kind}', '{side}', '{other}')" for kind, (side, other) in COUNTERPARTIES.items()
    )
    return f"(VALUES {rows}) AS sides (transfer_kind, owner_side, other_kind)"
