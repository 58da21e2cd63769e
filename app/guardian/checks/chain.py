"""Whether the sealed part of the ledger is as it was sealed.

The formulas are Accounting's, written down a second time: who checks does not ask whom it checks.
"""

from __future__ import annotations

from app.guardian.checks.declaration import Check

NEWEST = 2

_BLOCKS = """
SELECT n.*, coalesce(p.hash, decode(repeat('00', 32), 'hex')) AS previous_ought,
       p.id IS NOT NULL OR n.id = 1 AS is_next,
       sha256(n.previous_hash || int8send(n.id) || int8send(n.last_xid::text::bigint)
              || int8send(n.last_id) || n.digests) AS hash_ought
FROM ledger_blocks n LEFT JOIN ledger_blocks p ON p.id = n.id - 1
"""
# What a transfer says now, as 16 bytes. The text is what json_build_array() writes: put together by
# hand it takes half the time. Dates are written as ISO 8601 in rounds.
_NOW = """
substring(sha256(convert_to(concat(
  '[', t.id, ', "', t.event_id, '", "', t.kind, '", ', t.debit_account_id,
  ', ', t.credit_account_id, ', ', t.owner_account_id, ', ', t.amount,
  ', ', t.balance_after, ', ', t.account_version,
  ', ', timestamptz_send(t.timestamp)::bigint + 946684800000000,
  ', ', timestamptz_send(t.recorded_at)::bigint + 946684800000000,
  ', "', t.business_day,
  CASE WHEN t.late THEN '", true, ' ELSE '", false, ' END, coalesce(t.task_id::text, 'null'),
  ', ', coalesce(to_json(t.description)::text, 'null'),
  ', ', coalesce(t.reverses_id::text, 'null'), ', "', t.xid, '"]'), 'UTF8')) FROM 1 FOR 16)
"""
# What each was when it was sealed: a block is 24 bytes for each, the id and the digest. A function
# between each two steps, since the planner would carry the whole block along with each of them.
_SEALED = """
SELECT n.id AS block, substring(one FROM 1 FOR 8)::bigint AS transfer, substring(one FROM 9) AS was
FROM ledger_blocks n, unnest(ARRAY[n.digests]) AS whole,
     generate_series(0, octet_length(whole) / 24 - 1) AS place,
     unnest(ARRAY[substring(whole FROM 24 * place + 1 FOR 24)]) AS one
"""

CHECKS: tuple[Check, ...] = (
    Check(
        name="the sealed ledger is as it was sealed",
        means="A transfer was changed, removed or put in after it was sealed, or a seal was.",
        to_do="`bin/ates ledger verify` names the first transfer. Somebody can write behind the"
        " system's back: compare with a backup, and with the hashes that closing reports told.",
        # Parallel workers make the digests and compare them. The order needs no look: a digest says
        # where its transfer belongs.
        whole=f"""
SELECT b.id AS block, NULL::bigint AS transfer, b.is_next,
       b.previous_hash = b.previous_ought AS is_linked, b.hash = b.hash_ought AS is_whole
FROM ({_BLOCKS}) AS b
WHERE (b.is_next AND b.previous_hash = b.previous_ought AND b.hash = b.hash_ought) IS NOT TRUE
UNION ALL
SELECT sealed.block, coalesce(sealed.transfer, now.id), NULL, NULL, NULL
FROM ({_SEALED}) AS sealed
FULL JOIN (SELECT t.id, t.xid, {_NOW} AS digest FROM account_transfers t) AS now
  ON now.id = sealed.transfer
WHERE sealed.was IS DISTINCT FROM now.digest AND (sealed.block IS NOT NULL OR (now.xid, now.id) <= (
  (SELECT last_xid FROM ledger_blocks ORDER BY id DESC LIMIT 1),
  (SELECT last_id FROM ledger_blocks ORDER BY id DESC LIMIT 1)))""",
        increment=f"""
SELECT b.id AS block, b.is_next, b.previous_hash = b.previous_ought AS is_linked
FROM ({_BLOCKS} ORDER BY n.id DESC LIMIT {NEWEST}) AS b
WHERE (b.is_next AND b.previous_hash = b.previous_ought AND b.hash = b.hash_ought)
  IS NOT TRUE""",
    ),
)
