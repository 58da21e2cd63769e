"""Whether the sealed part of the ledger is as it was sealed.

The formulas are Accounting's, written down a second time: who checks does not ask whom it checks.
"""

from __future__ import annotations

from app.guardian.checks.declaration import Check

NEWEST = 2

_BLOCKS = """
SELECT n.*, coalesce(p.hash, decode(repeat('00', 32), 'hex')) AS previous_ought,
       coalesce(p.last_xid, '0') AS after_xid, coalesce(p.last_id, 0) AS after_id,
       p.id IS NOT NULL OR n.id = 1 AS is_next,
       sha256(n.previous_hash || int8send(n.id) || int8send(n.last_xid::text::bigint)
              || int8send(n.last_id) || n.digests) AS hash_ought
FROM ledger_blocks n LEFT JOIN ledger_blocks p ON p.id = n.id - 1
"""
# Of each block, what its transfers are now. Digests are made by parallel workers, in the ledger's
# order; a block ends with the transfer that it says. The text is what json_build_array() writes:
# put together by hand it takes half the time.
_NOW = """
SELECT block, string_agg(digest, ''::bytea ORDER BY xid, id) AS digests FROM (
  SELECT t.xid, t.id, t.digest, 1 + count(n.id) OVER (
    ORDER BY t.xid, t.id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS block
  FROM (
    SELECT t.xid, t.id, int8send(t.id) || substring(sha256(convert_to(concat(
      '[', t.id, ', "', t.event_id, '", "', t.kind, '", ', t.debit_account_id,
      ', ', t.credit_account_id, ', ', t.owner_account_id, ', ', t.amount,
      ', ', t.balance_after, ', ', t.account_version,
      ', ', (extract(epoch FROM t.timestamp) * 1000000)::bigint,
      ', ', (extract(epoch FROM t.recorded_at) * 1000000)::bigint,
      ', "', to_char(t.business_day, 'YYYY-MM-DD'),
      CASE WHEN t.late THEN '", true, ' ELSE '", false, ' END, coalesce(t.task_id::text, 'null'),
      ', ', coalesce(to_json(t.description)::text, 'null'),
      ', ', coalesce(t.reverses_id::text, 'null'), ', "', t.xid, '"]'), 'UTF8'))
      FROM 1 FOR 16) AS digest
    FROM account_transfers t ORDER BY t.xid, t.id OFFSET 0) AS t
  LEFT JOIN ledger_blocks n ON n.last_xid = t.xid AND n.last_id = t.id) AS placed
GROUP BY block
"""

CHECKS: tuple[Check, ...] = (
    Check(
        name="the sealed ledger is as it was sealed",
        means="A transfer was changed, removed or put in after it was sealed, or a seal was.",
        to_do="`bin/ates ledger verify` names the first transfer. Somebody can write behind the"
        " system's back: compare with a backup, and with the hashes that closing reports told.",
        whole=f"""
SELECT b.id AS block, b.is_next, b.previous_hash = b.previous_ought AS is_linked,
       b.hash = b.hash_ought AS is_whole, now.digests = b.digests AS is_as_sealed
FROM ({_BLOCKS}) AS b LEFT JOIN ({_NOW}) AS now ON now.block = b.id
WHERE (b.is_next AND b.previous_hash = b.previous_ought AND b.hash = b.hash_ought
       AND now.digests = b.digests) IS NOT TRUE""",
        increment=f"""
SELECT b.id AS block, b.is_next, b.previous_hash = b.previous_ought AS is_linked
FROM ({_BLOCKS} ORDER BY n.id DESC LIMIT {NEWEST}) AS b
WHERE (b.is_next AND b.previous_hash = b.previous_ought AND b.hash = b.hash_ought)
  IS NOT TRUE""",
    ),
)
