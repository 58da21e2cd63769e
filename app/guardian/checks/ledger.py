"""Whether balances and roll-ups are the sums of their transfers."""

from __future__ import annotations

from app.guardian.checks.declaration import INCREMENT, Check, checked_both_ways

_REBUILD = (
    "`bin/ates ledger rebuild --shadow` shows every row that differs. The transfers are right"
    " unless the chain of balances says otherwise; find out what wrote the other."
)
_TOUCHED = f"(SELECT DISTINCT owner_account_id, business_day FROM {INCREMENT['transfers']} AS t)"

CHECKS: tuple[Check, ...] = (
    Check(
        name="each balance is the sum of its transfers",
        means="Somebody's balance is not what their transfers add up to.",
        to_do=_REBUILD,
        whole="""
SELECT a.id AS account_id, a.user_id, a.balance, a.version, coalesce(t.sum, 0) AS transfers_sum
FROM accounts a LEFT JOIN (
  SELECT owner_account_id, sum(delta_balance) AS sum, count(*) AS n
  FROM account_transfers GROUP BY 1) AS t ON t.owner_account_id = a.id
WHERE a.kind = 'employee'
  AND (a.balance, a.version) IS DISTINCT FROM (coalesce(t.sum, 0), coalesce(t.n, 0))""",
        increment="""
SELECT a.id AS account_id, a.user_id, a.balance, a.version, last.balance_after
FROM {accounts} AS a LEFT JOIN LATERAL (
  SELECT balance_after, account_version FROM account_transfers t
  WHERE t.owner_account_id = a.id ORDER BY account_version DESC LIMIT 1) AS last ON true
WHERE a.kind = 'employee' AND (a.balance, a.version)
  IS DISTINCT FROM (coalesce(last.balance_after, 0), coalesce(last.account_version, 0))
""".format_map(INCREMENT),
    ),
    checked_both_ways(
        name="each balance after a transfer is that before and the transfer",
        means="A transfer was changed, removed or put in between after it was posted.",
        to_do="The first row named of each account is where its history was touched: compare it"
        " with a backup, and find out who can write to the database.",
        statement="""
SELECT t.id, t.owner_account_id, t.account_version, t.balance_after, b.balance_after AS before
FROM {transfers} AS t
LEFT JOIN account_transfers b ON b.owner_account_id = t.owner_account_id
  AND b.account_version = t.account_version - 1
WHERE t.balance_after <> coalesce(b.balance_after, 0) + t.delta_balance
   OR (t.account_version > 1) <> (b.id IS NOT NULL)""",
    ),
    Check(
        name="each account's day is the sum of its transfers",
        means="A day's total of an account is not what its transfers of the day add up to.",
        to_do=_REBUILD,
        whole="""
SELECT coalesce(t.owner_account_id, d.account_id) AS account_id,
       coalesce(t.business_day, d.business_day) AS business_day, d.delta, t.delta AS transfers_sum
FROM (
  SELECT owner_account_id, business_day, sum(delta_balance) AS delta, count(*) AS n
  FROM account_transfers GROUP BY 1, 2) AS t
FULL JOIN account_days d ON d.account_id = t.owner_account_id AND d.business_day = t.business_day
WHERE d.delta IS DISTINCT FROM t.delta OR d.transfers IS DISTINCT FROM t.n""",
        increment=f"""
SELECT d.account_id, d.business_day, d.delta, t.delta AS transfers_sum FROM {_TOUCHED} AS touched
CROSS JOIN LATERAL (
  SELECT sum(delta_balance) AS delta, count(*) AS n FROM account_transfers a
  WHERE a.owner_account_id = touched.owner_account_id
    AND a.business_day = touched.business_day) AS t
LEFT JOIN account_days d ON d.account_id = touched.owner_account_id
  AND d.business_day = touched.business_day
WHERE (d.delta, d.transfers) IS DISTINCT FROM (t.delta, t.n)""",
    ),
    Check(
        name="each day is the sum of its transfers",
        means="The company's totals of a day are not what its transfers add up to.",
        to_do=_REBUILD,
        whole="""
SELECT coalesce(t.business_day, d.business_day) AS business_day, d.fees, t.fees AS fees_sum,
       d.rewards, t.rewards AS rewards_sum, d.payouts, t.payouts AS payouts_sum
FROM (
  SELECT business_day, count(*) AS n,
         coalesce(sum(amount) FILTER (WHERE kind = 'assign_fee'), 0) AS fees,
         coalesce(sum(amount) FILTER (WHERE kind = 'completion_reward'), 0) AS rewards,
         coalesce(sum(amount) FILTER (WHERE kind = 'payout'), 0) AS payouts,
         coalesce(sum(delta_balance) FILTER (WHERE kind = 'reversal'), 0) AS reversed
  FROM account_transfers GROUP BY 1) AS t
FULL JOIN ledger_days d USING (business_day)
WHERE (d.fees, d.rewards, d.payouts, d.corrections + d.payouts_reversed, d.transfers)
  IS DISTINCT FROM (t.fees, t.rewards, t.payouts, t.reversed, t.n)""",
        increment=f"""
SELECT touched.business_day, d.fees, t.fees AS fees_sum, d.rewards, t.rewards AS rewards_sum
FROM (SELECT DISTINCT business_day FROM {INCREMENT["transfers"]} AS n) AS touched
CROSS JOIN LATERAL (
  SELECT sum(fees) AS fees, sum(rewards) AS rewards, sum(payouts) AS payouts,
         sum(corrections + payouts_reversed) AS reversed, sum(transfers) AS n
  FROM account_days a WHERE a.business_day = touched.business_day) AS t
LEFT JOIN ledger_days d USING (business_day)
WHERE (d.fees, d.rewards, d.payouts, d.corrections + d.payouts_reversed, d.transfers)
  IS DISTINCT FROM (t.fees, t.rewards, t.payouts, t.reversed, t.n)""",
    ),
    checked_both_ways(
        name="each reversal undoes the whole of one transfer",
        means="A correction moved another amount, or other accounts, than what it corrects.",
        to_do="Reverse the correction, and make the right one.",
        statement="""
SELECT t.id, t.amount, r.id AS reverses_id, r.amount AS reversed_amount FROM {transfers} AS t
LEFT JOIN account_transfers r ON r.id = t.reverses_id
WHERE t.kind = 'reversal' AND (t.amount, t.debit_account_id, t.credit_account_id)
  IS DISTINCT FROM (r.amount, r.credit_account_id, r.debit_account_id)""",
    ),
)
