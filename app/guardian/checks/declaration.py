"""What a check is: a statement that returns the rows which break a rule, and words about it.

A check has up to two scopes. The whole reads everything, once a night. The increment reads what
changed since the guardian's watermarks, every few seconds: events up to the ledger's cursor,
transfers of transactions below the oldest that still runs, and a slice of the accounts in turn.
Most statements are the same in both but for where their rows come from: `{events}`, `{logs}`,
`{tasks}`, `{transfers}`, `{accounts}` and `{days}` stand for a table, or for what is new in it.
Each is one statement, and so sees one moment.
"""

from __future__ import annotations

from dataclasses import dataclass

WHOLE = {
    "events": "outbox",
    "logs": "logs",
    "tasks": "tasks",
    "transfers": "account_transfers",
    "accounts": "accounts",
    "days": "business_days",
}
# The window's parameters: :events_from, :events_from_id, :events_to, :events_to_id (xid8 as text,
# bigint), :transfers_from, :transfers_to (xid8 as text), :slice_after, :slice (bigint).
_EVENTS = """(SELECT * FROM outbox
  WHERE (xid, id) > (CAST(:events_from AS xid8), CAST(:events_from_id AS bigint))
    AND (xid, id) <= (CAST(:events_to AS xid8), CAST(:events_to_id AS bigint))
    AND xid BETWEEN CAST(:events_from AS xid8) AND CAST(:events_to AS xid8))"""
_TRANSFERS = """(SELECT * FROM account_transfers
  WHERE xid >= CAST(:transfers_from AS xid8) AND xid < CAST(:transfers_to AS xid8))"""
INCREMENT = {
    "events": _EVENTS,
    "logs": f"""(SELECT logs.* FROM {_EVENTS} AS e
  JOIN logs ON logs.task_id = e.task_id AND logs.event_id = e.event_id)""",
    "tasks": f"(SELECT * FROM tasks WHERE id IN (SELECT e.task_id FROM {_EVENTS} AS e))",
    "transfers": _TRANSFERS,
    "accounts": f"""(SELECT * FROM accounts WHERE id IN (
  SELECT t.owner_account_id FROM {_TRANSFERS} AS t
  UNION ALL (SELECT id FROM accounts WHERE id > CAST(:slice_after AS bigint)
             ORDER BY id LIMIT CAST(:slice AS bigint))))""",
    "days": "(SELECT * FROM business_days WHERE status = 'closed' ORDER BY day DESC LIMIT 1)",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A rule, what it means when rows break it, what to do then, and how they are found.

    `is_money`: a finding stops all changes. `increment` is None where only the whole says
    anything. `is_windowed`: the increment sees new rows alone, so that only the whole can clear
    what it found.
    """

    name: str
    means: str
    to_do: str
    whole: str
    increment: str | None
    is_money: bool = True
    is_windowed: bool = True


def checked_both_ways(
    *, name: str, means: str, to_do: str, statement: str, is_money: bool = True
) -> Check:
    """A check whose scopes differ only in where their rows come from."""
    return Check(
        name=name,
        means=means,
        to_do=to_do,
        whole=statement.format_map(WHOLE),
        increment=statement.format_map(INCREMENT),
        is_money=is_money,
    )


def checked_alike(
    *, name: str, means: str, to_do: str, statement: str, is_money: bool = False
) -> Check:
    """A check that is cheap enough to read all of it every time."""
    return Check(
        name=name,
        means=means,
        to_do=to_do,
        whole=statement,
        increment=statement,
        is_money=is_money,
        is_windowed=False,
    )
