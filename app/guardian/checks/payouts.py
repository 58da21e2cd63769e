"""Whether closed days paid what the planned scenarios say, once, and are as they were frozen."""

from __future__ import annotations

from app.guardian.checks.declaration import Check, checked_both_ways
from app.guardian.scenario import PAYOUT

CHECKS: tuple[Check, ...] = (
    checked_both_ways(
        name="each payout is one transfer and one mail",
        means="A payout has no transfer of its amount, or nobody was told of it.",
        to_do="Look at the payout run. What was paid twice is reversed by a correction.",
        statement=f"""
SELECT p.id, p.business_day, p.account_id, p.amount, t.id AS transfer_id, m.mails
FROM {{days}} AS d JOIN payouts p ON p.business_day = d.day
LEFT JOIN account_transfers t ON t.id = p.transfer_id AND t.kind = '{PAYOUT.transfer}'
  AND t.amount = p.amount AND t.business_day = p.business_day
  AND t.owner_account_id = p.account_id
CROSS JOIN LATERAL (
  SELECT count(*) AS mails FROM emails e
  WHERE e.payout_id = p.id AND e.kind = '{PAYOUT.mail}') AS m
WHERE t.id IS NULL OR m.mails <> 1""",
    ),
    checked_both_ways(
        name="each payout transfer has its event, and the reverse",
        means="The log of events tells of a payout that was not made so, or does not tell of one.",
        to_do="The event and the transfer are written together: something wrote one of them by"
        " hand. Look at the payout run; reverse by a correction what was paid by no run.",
        statement=f"""
SELECT e.event_id, e.user_id, e.payload, t.id AS transfer_id, t.amount, t.business_day
FROM {{events}} AS e LEFT JOIN account_transfers t ON t.event_id = e.event_id
LEFT JOIN accounts a ON a.id = t.owner_account_id
WHERE e.type = '{PAYOUT.event}'
  AND (t.kind::text, to_jsonb(t.amount), to_jsonb(t.business_day), a.user_id) IS DISTINCT FROM
      ('{PAYOUT.transfer}', e.payload->'amount', e.payload->'business_day', e.user_id)
UNION ALL
SELECT t.event_id, NULL, NULL, t.id, t.amount, t.business_day FROM {{transfers}} AS t
WHERE t.kind = '{PAYOUT.transfer}'
  AND NOT EXISTS (SELECT FROM outbox e WHERE e.event_id = t.event_id)
  AND NOT EXISTS (SELECT FROM outbox_partitions p WHERE t.timestamp
                  BETWEEN p.first_at - interval '1 hour' AND p.last_at + interval '1 hour')""",
    ),
    checked_both_ways(
        name="each payout transfer is a payout's",
        means="Money left an account as a payout that no payout run made.",
        to_do="Find out what wrote it; reverse it by a correction.",
        statement=f"""
SELECT t.id, t.owner_account_id, t.amount, t.business_day FROM {{transfers}} AS t
LEFT JOIN payouts p ON p.transfer_id = t.id
WHERE t.kind = '{PAYOUT.transfer}' AND p.id IS NULL""",
    ),
    Check(
        name="a closed day left no balance of its end above zero",
        means="Somebody was not paid what they had at the end of a closed day.",
        to_do="Look at the payout run of that day and at the account's statement.",
        # That the sums of days are those of the transfers is another check's.
        whole=f"""
SELECT account_id, business_day AS day, balance FROM (
  SELECT account_id, business_day, sum(delta) OVER (
           PARTITION BY account_id ORDER BY business_day) AS balance
  FROM account_days) AS ends
JOIN business_days d ON d.day = ends.business_day
WHERE d.status = 'closed' AND balance > {PAYOUT.above_cents}""",
        increment=f"""
SELECT a.id AS account_id, d.day, a.balance - coalesce(later.delta, 0) AS balance
FROM (SELECT day FROM business_days WHERE status = 'closed' ORDER BY day DESC LIMIT 1) AS d
CROSS JOIN accounts a
LEFT JOIN LATERAL (SELECT sum(delta)::bigint AS delta FROM account_days
  WHERE account_id = a.id AND business_day > d.day) AS later ON true
WHERE a.kind = 'employee'
  AND a.balance - coalesce(later.delta, 0) > {PAYOUT.above_cents}""",
    ),
    Check(
        name="a closed day's debts are as they were frozen",
        means="What employees owed at the end of a closed day is not what its row says.",
        to_do="Compare with the statements of those who were below zero that day; find out what"
        " wrote to a closed day.",
        whole="""
WITH ends AS (
  SELECT business_day, sum(delta) OVER (PARTITION BY account_id ORDER BY business_day) AS balance,
         delta
  FROM account_days
), moved AS (
  SELECT business_day, sum(least(balance, 0) - least(balance - delta, 0)) AS debts,
         sum((balance < 0)::int - (balance - delta < 0)::int) AS debtors
  FROM ends GROUP BY business_day
)
SELECT day, debts, debts_sum, debtors, debtors_sum FROM (
  SELECT d.day, d.status, d.debts, d.debtors,
         coalesce(sum(m.debts) OVER (ORDER BY d.day), 0) AS debts_sum,
         coalesce(sum(m.debtors) OVER (ORDER BY d.day), 0) AS debtors_sum
  FROM business_days d LEFT JOIN moved m ON m.business_day = d.day) AS days
WHERE status = 'closed' AND (debts, debtors) IS DISTINCT FROM (debts_sum, debtors_sum)""",
        increment="""
SELECT d.day, d.debts, o.debts AS debts_sum, d.debtors, o.debtors AS debtors_sum
FROM (SELECT day, debts, debtors FROM business_days WHERE status = 'closed'
      ORDER BY day DESC LIMIT 1) AS d
CROSS JOIN LATERAL (
  SELECT coalesce(sum(balance), 0) AS debts, count(*) AS debtors FROM (
    SELECT a.balance - coalesce((SELECT sum(delta) FROM account_days
      WHERE account_id = a.id AND business_day > d.day), 0) AS balance
    FROM accounts a WHERE a.kind = 'employee') AS ends
  WHERE balance < 0) AS o
WHERE (d.debts, d.debtors) IS DISTINCT FROM (o.debts, o.debtors)""",
    ),
    checked_both_ways(
        name="a closed day's totals are its transfers'",
        means="A closed day is not as it was frozen: something was posted to it, or changed.",
        to_do="Compare the day's report with the payout run; find out what wrote to a closed day.",
        statement="""
SELECT d.day, d.fees, t.fees AS fees_sum, d.rewards, t.rewards AS rewards_sum,
       d.paid_total, t.paid, d.paid_count, t.payouts
FROM {days} AS d CROSS JOIN LATERAL (
  SELECT coalesce(sum(amount) FILTER (WHERE kind = 'assign_fee'), 0) AS fees,
         coalesce(sum(amount) FILTER (WHERE kind = 'completion_reward'), 0) AS rewards,
         coalesce(sum(amount) FILTER (WHERE kind = 'payout'), 0) AS paid,
         count(*) FILTER (WHERE kind = 'payout') AS payouts
  FROM account_transfers t WHERE t.business_day = d.day) AS t
WHERE d.status = 'closed' AND (d.fees, d.rewards, d.paid_total, d.paid_count)
  IS DISTINCT FROM (t.fees, t.rewards, t.paid, t.payouts)""",
    ),
)
