"""The hash chain over the transfers: its formulas, its head, and whether the ledger fits it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from app.kernel.db import sql

# A transfer's digest: its id, and 16 bytes of SHA-256 over all that it says. JSON keeps the values
# apart; times are microseconds, so that no setting of a session changes them.
DIGEST = """
int8send(t.id) || substring(sha256(convert_to(json_build_array(
  t.id, t.event_id, t.kind, t.debit_account_id, t.credit_account_id, t.owner_account_id, t.amount,
  t.balance_after, t.account_version, (extract(epoch FROM t.timestamp) * 1000000)::bigint,
  (extract(epoch FROM t.recorded_at) * 1000000)::bigint, to_char(t.business_day, 'YYYY-MM-DD'),
  t.late, t.task_id, t.description, t.reverses_id, t.xid::text)::text, 'UTF8')) FROM 1 FOR 16)
"""
# A block's hash, over the one before it, its number and end, and the digests of its transfers.
HASH = """
sha256(n.previous_hash || int8send(n.id) || int8send(n.last_xid::text::bigint)
       || int8send(n.last_id) || n.digests)
"""
DIGEST_BYTES, ID_BYTES = 24, 8

HEAD = sql("""
SELECT id, encode(hash, 'hex') AS hash, sealed_at FROM ledger_blocks ORDER BY id DESC LIMIT 1
""")
# The next blocks, and of each whether its own hash and its link to the one before it are right.
BLOCKS = sql(f"""
SELECT n.id, n.last_xid::text AS last_xid, n.last_id, n.transfers, n.digests,
       encode(n.hash, 'hex') AS hash, n.hash = {HASH} AS is_whole,
       n.previous_hash = coalesce(p.hash, decode(repeat('00', 32), 'hex')) AS is_linked,
       coalesce(p.last_xid, '0')::text AS after_xid, coalesce(p.last_id, 0) AS after_id
FROM ledger_blocks n LEFT JOIN ledger_blocks p ON p.id = n.id - 1
WHERE n.id > :after ORDER BY n.id LIMIT 20
""")
DIGESTS_NOW = sql(f"""
SELECT string_agg({DIGEST}, ''::bytea ORDER BY t.xid, t.id) FROM account_transfers t
WHERE t.xid >= CAST(:after_xid AS xid8) AND t.xid <= CAST(:last_xid AS xid8)
  AND (t.xid, t.id) > (CAST(:after_xid AS xid8), :after_id)
  AND (t.xid, t.id) <= (CAST(:last_xid AS xid8), :last_id)
""")
# Of each account: whether its transfers sum up to its balance, step by step.
BAD_SUM = sql("""
SELECT id, owner_account_id FROM (
  SELECT id, owner_account_id, balance_after, account_version,
         sum(delta_balance) OVER w AS summed, row_number() OVER w AS numbered
  FROM account_transfers
  WINDOW w AS (PARTITION BY owner_account_id ORDER BY account_version)) AS t
WHERE balance_after <> summed OR account_version <> numbered ORDER BY id LIMIT 1
""")
BAD_BALANCE = sql("""
SELECT a.id, a.balance, coalesce(sum(t.delta_balance), 0) AS summed FROM accounts a
LEFT JOIN account_transfers t ON t.owner_account_id = a.id WHERE a.kind = 'employee'
GROUP BY a.id HAVING a.balance <> coalesce(sum(t.delta_balance), 0) ORDER BY a.id LIMIT 1
""")


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the ledger is as it was sealed; `fault` names the first row that is not."""

    blocks: int
    transfers: int
    head: str | None
    fault: str | None = None


def head_of_chain(session: Session) -> Any:
    """The newest block: `id`, `hash` in hexadecimal, `sealed_at`; None before the first."""
    return session.execute(HEAD).one_or_none()


def verify_ledger(
    session: Session, *, expected: str | None = None, progress: Callable[[int], None] | None = None
) -> Verdict:
    """Check the chain, then each transfer against it, then the sums; stops at the first bad row.

    `expected` is a hash that somebody kept, such as a closing report's: it must be in the chain.
    """
    blocks = transfers = 0
    head, is_found = None, expected is None
    while found := session.execute(BLOCKS, {"after": blocks}).all():
        for block in found:
            fault = _fault_of(session, block, blocks + 1)
            if fault:
                return Verdict(blocks, transfers, head, fault)
            blocks, transfers, head = block.id, transfers + block.transfers, block.hash
            is_found = is_found or head == expected
        if progress is not None:
            progress(transfers)
    if not is_found:
        return Verdict(blocks, transfers, head, f"no block has the hash {expected}")
    return Verdict(blocks, transfers, head, _bad_sum(session))


def _fault_of(session: Session, block: Any, number: int) -> str | None:
    if block.id != number:
        return f"block {number} is missing"
    if not block.is_linked:
        return f"block {block.id} does not follow from the block before it"
    if not block.is_whole:
        return f"block {block.id} was changed: its hash is not that of what it holds"
    names = {
        "after_xid": block.after_xid,
        "after_id": block.after_id,
        "last_xid": block.last_xid,
        "last_id": block.last_id,
    }
    now: bytes = session.execute(DIGESTS_NOW, names).scalar() or b""
    if now == block.digests:
        return None
    return f"{_first_difference(bytes(block.digests), bytes(now))} (block {block.id})"


def _first_difference(sealed: bytes, now: bytes) -> str:
    was, is_now = _by_id(sealed), _by_id(now)
    changed = [
        f"transfer {row} was changed" for row in was if is_now.get(row, was[row]) != was[row]
    ]
    missing = [f"transfer {row} is missing" for row in was if row not in is_now]
    added = [f"transfer {row} was put in afterwards" for row in is_now if row not in was]
    return (changed + missing + added)[0]


def _by_id(digests: bytes) -> dict[int, bytes]:
    rows = (digests[at : at + DIGEST_BYTES] for at in range(0, len(digests), DIGEST_BYTES))
    return {int.from_bytes(row[:ID_BYTES], signed=True): row[ID_BYTES:] for row in rows}


def _bad_sum(session: Session) -> str | None:
    row = session.execute(BAD_SUM).one_or_none()
    if row is not None:
        return f"transfer {row.id} does not follow from those before it on its account"
    account = session.execute(BAD_BALANCE).one_or_none()
    if account is not None:
        return f"account {account.id} holds {account.balance}, its transfers are {account.summed}"
    return None
