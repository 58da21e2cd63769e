"""Sealing: a hash chain over the transfers, so that a change behind aTES's back is seen and named.

Blocks follow the order of (xid, id) and stay below the oldest running transaction, where no
transfer can appear any more. A block holds a digest of each of its transfers, and its hash is
SHA-256 of the hash before it, its own end and the digests. Whoever kept an old hash, such as the
one in a closing report, can prove that nothing up to it was changed: who changes a row has to
make every later block anew, and so every later hash.
"""

from __future__ import annotations

import time
from datetime import date
from typing import Any

from sqlalchemy.orm import Session

from app.accounting.queries.chain import DIGEST, HASH
from app.kernel.db import command, sql

BLOCK = 5_000
BLOCKS_AT_ONCE = 10_000
LOOK_AGAIN_S = 0.02

LOCK_CHAIN = sql("SELECT pg_advisory_xact_lock(5)")
# Appends the next block, of at most :block transfers; none when nothing is left to seal.
SEAL = sql(f"""
WITH head AS (
  SELECT coalesce(max(id), 0) AS id FROM ledger_blocks
), last AS (
  SELECT h.id, coalesce(b.last_xid, '0') AS xid, coalesce(b.last_id, 0) AS last_id,
         coalesce(b.hash, decode(repeat('00', 32), 'hex')) AS hash
  FROM head h LEFT JOIN ledger_blocks b ON b.id = h.id
), chosen AS MATERIALIZED (
  SELECT t.* FROM account_transfers t
  WHERE t.xid >= (SELECT xid FROM last) AND (t.xid, t.id) > (SELECT xid, last_id FROM last)
    AND t.xid < log_xid(pg_snapshot_xmin(pg_current_snapshot()))
  ORDER BY t.xid, t.id LIMIT :block
), block AS (
  SELECT count(*)::int AS transfers, string_agg({DIGEST}, ''::bytea ORDER BY t.xid, t.id) AS digests
  FROM chosen t
), ending AS (
  SELECT xid, id FROM chosen ORDER BY xid DESC, id DESC LIMIT 1
)
INSERT INTO ledger_blocks (id, last_xid, last_id, transfers, digests, previous_hash, hash)
SELECT n.id, n.last_xid, n.last_id, n.transfers, n.digests, n.previous_hash, {HASH}
FROM (SELECT l.id + 1 AS id, e.xid AS last_xid, e.id AS last_id, b.transfers, b.digests,
             l.hash AS previous_hash
      FROM last l, block b, ending e) AS n
RETURNING transfers
""")
# Gives each closed day whose transfers are all sealed the head of the chain.
SEAL_DAYS = sql("""
UPDATE business_days d SET sealed_block = head.id
FROM (SELECT id, last_xid, last_id FROM ledger_blocks ORDER BY id DESC LIMIT 1) AS head
WHERE d.status = 'closed' AND d.sealed_block IS NULL
  AND NOT EXISTS (SELECT FROM account_transfers t
                  WHERE t.xid >= head.last_xid AND (t.xid, t.id) > (head.last_xid, head.last_id)
                    AND t.business_day <= d.day)
RETURNING d.day
""")
# Tells every accountant of the days that were sealed, once.
TELL_ACCOUNTANTS = sql("""
INSERT INTO emails (dedupe_key, message_id, user_id, kind, business_day)
SELECT 'closing:' || day || ':' || u.id, '<closing-' || day || '-' || u.id || '-' || uuidv7()
       || '@ates>', u.id, 'closing', day
FROM unnest(CAST(:days AS date[])) AS days (day), users u
WHERE u.role = 'accountant' AND u.is_active
ON CONFLICT (dedupe_key) DO NOTHING
""")
UNSEALED_DAY = sql("""
SELECT day FROM business_days WHERE status = 'closed' AND sealed_block IS NULL LIMIT 1
""")


def seal_ledger(*, patience_s: float = 0.0) -> int:
    """Seal what can be sealed, then the closed days, and tell accountants; returns the blocks made.

    While a transaction hides transfers of a closed day, look again for at most `patience_s`; the
    schedule does it later. Doing it again changes nothing.
    """
    end_at = time.monotonic() + patience_s
    blocks = 0
    while True:
        for _ in range(BLOCKS_AT_ONCE):
            if _seal_block(block=BLOCK) == 0:
                break
            blocks += 1
        _seal_days()
        if time.monotonic() >= end_at or not _any_unsealed_day():
            return blocks
        time.sleep(LOOK_AGAIN_S)


@command
def _seal_block(session: Session, *, block: int) -> int:
    session.execute(LOCK_CHAIN)
    sealed: Any = session.execute(SEAL, {"block": block}).scalar()
    return int(sealed or 0)


@command
def _seal_days(session: Session) -> list[date]:
    session.execute(LOCK_CHAIN)
    days = list(session.execute(SEAL_DAYS).scalars())
    if days:
        session.execute(TELL_ACCOUNTANTS, {"days": days})
    return days


@command
def _any_unsealed_day(session: Session) -> bool:
    return session.execute(UNSEALED_DAY).first() is not None
