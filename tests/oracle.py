"""The oracle of every fault and flow test: what must hold in the database, whatever happened.

Each check is one statement that returns the rows which break a rule; `findings` is empty when
all rules hold. tests/faults/test_oracle.py breaks each rule and sees the check fail.
"""

from __future__ import annotations

from typing import Any

import psycopg

CHECKS: dict[str, str] = {
    "each assignment has exactly one fee": """
        SELECT l.id, count(t.id) FROM logs l
        LEFT JOIN account_transfers t ON t.event_id = l.event_id AND t.kind = 'assign_fee'
        WHERE l.type IN ('create', 'assign') GROUP BY l.id HAVING count(t.id) <> 1""",
    "each completion has exactly one reward": """
        SELECT l.id, count(t.id) FROM logs l
        LEFT JOIN account_transfers t ON t.event_id = l.event_id AND t.kind = 'completion_reward'
        WHERE l.type = 'complete' GROUP BY l.id HAVING count(t.id) <> 1""",
    "each fee and reward has the log entry that it is for": """
        SELECT t.id FROM account_transfers t
        LEFT JOIN logs l ON l.event_id = t.event_id AND l.task_id = t.task_id
          AND l.type::text = ANY (CASE t.kind WHEN 'assign_fee' THEN ARRAY['create', 'assign']
                                              ELSE ARRAY['complete'] END)
        WHERE t.kind IN ('assign_fee', 'completion_reward') AND l.id IS NULL""",
    "each fee and reward is its assignee's, at the task's price": """
        SELECT t.id FROM account_transfers t
        JOIN logs l ON l.event_id = t.event_id
        JOIN task_prices p ON p.task_id = t.task_id
        JOIN accounts a ON a.id = t.owner_account_id
        WHERE a.user_id <> l.user_id OR t.amount <>
          CASE t.kind WHEN 'assign_fee' THEN p.assign_price ELSE p.complete_price END""",
    "each log entry's event is in the log of events": """
        SELECT l.id FROM logs l LEFT JOIN outbox o ON o.event_id = l.event_id
        WHERE o.event_id IS NULL""",
    "each task follows create, assign*, complete": """
        SELECT k.id FROM tasks k LEFT JOIN (
          SELECT task_id, string_agg(type::text, ' ' ORDER BY id) AS story
          FROM logs WHERE type <> 'other' GROUP BY task_id) AS stories ON stories.task_id = k.id
        WHERE coalesce(story, '') !~ '^create( assign)*( complete)?$'""",
    "each task is as its log tells": """
        SELECT k.id FROM tasks k
        LEFT JOIN LATERAL (
          SELECT user_id, type FROM logs l WHERE l.task_id = k.id AND type <> 'other'
          ORDER BY id DESC LIMIT 1) AS last ON true
        WHERE (k.assigned_to, k.is_finished)
          IS DISTINCT FROM (last.user_id, last.type = 'complete')""",
    "each balance is the sum of its transfers": """
        SELECT a.id, a.balance, coalesce(sum(t.delta_balance), 0) FROM accounts a
        LEFT JOIN account_transfers t ON t.owner_account_id = a.id
        WHERE a.kind = 'employee' GROUP BY a.id
        HAVING a.balance <> coalesce(sum(t.delta_balance), 0)""",
    "each balance after a transfer is that before and the transfer": """
        SELECT id FROM (
          SELECT id, balance_after, account_version,
                 sum(delta_balance) OVER w AS summed, row_number() OVER w AS numbered
          FROM account_transfers
          WINDOW w AS (PARTITION BY owner_account_id ORDER BY account_version)) AS t
        WHERE balance_after <> summed OR account_version <> numbered""",
    "each account's day is the sum of its transfers": """
        SELECT owner_account_id, t.business_day FROM (
          SELECT owner_account_id, business_day, sum(delta_balance) AS delta, count(*) AS n
          FROM account_transfers GROUP BY 1, 2) AS t
        FULL JOIN account_days d
          ON d.account_id = t.owner_account_id AND d.business_day = t.business_day
        WHERE d.delta IS DISTINCT FROM t.delta OR d.transfers IS DISTINCT FROM t.n""",
    "each day's income is its fees less its rewards": """
        SELECT t.business_day FROM (
          SELECT business_day,
                 coalesce(sum(amount) FILTER (WHERE kind = 'assign_fee'), 0)
               - coalesce(sum(amount) FILTER (WHERE kind = 'completion_reward'), 0) AS income
          FROM account_transfers GROUP BY 1) AS t
        FULL JOIN ledger_days d USING (business_day)
        WHERE d.income IS DISTINCT FROM t.income""",
    "each payout is one transfer and one mail": """
        SELECT p.id FROM payouts p
        LEFT JOIN account_transfers t ON t.id = p.transfer_id AND t.kind = 'payout'
          AND t.amount = p.amount AND t.business_day = p.business_day
        LEFT JOIN emails e ON e.payout_id = p.id
        GROUP BY p.id HAVING count(t.id) <> 1 OR count(e.id) <> 1""",
    "each payout transfer is a payout's": """
        SELECT t.id FROM account_transfers t LEFT JOIN payouts p ON p.transfer_id = t.id
        WHERE t.kind = 'payout' AND p.id IS NULL""",
    "a closed day left no balance of its end above zero": """
        SELECT d.day, a.id FROM business_days d CROSS JOIN accounts a
        WHERE d.status = 'closed' AND a.kind = 'employee' AND
          (SELECT coalesce(sum(t.delta_balance), 0) FROM account_transfers t
           WHERE t.owner_account_id = a.id AND t.business_day <= d.day) > 0""",
    "a closed day's totals are its transfers'": """
        SELECT d.day FROM business_days d CROSS JOIN LATERAL (
          SELECT coalesce(sum(amount) FILTER (WHERE kind = 'assign_fee'), 0) AS fees,
                 coalesce(sum(amount) FILTER (WHERE kind = 'completion_reward'), 0) AS rewards,
                 coalesce(sum(amount) FILTER (WHERE kind = 'payout'), 0) AS paid,
                 count(*) FILTER (WHERE kind = 'payout') AS payouts
          FROM account_transfers t WHERE t.business_day = d.day) AS t
        WHERE d.status = 'closed' AND (d.fees, d.rewards, d.paid_total, d.paid_count)
          IS DISTINCT FROM (t.fees, t.rewards, t.paid, t.payouts)""",
    "no event is parked": "SELECT id FROM dead_letters WHERE state = 'parked'",
    "no event waits": """
        SELECT o.event_id FROM outbox o LEFT JOIN outbox_cursors c ON c.consumer = 'accounting'
        WHERE (o.xid, o.id) > (coalesce(c.xid, '0'), coalesce(c.id, 0))""",
}


def findings(connection: psycopg.Connection[Any]) -> dict[str, list[Any]]:
    """The rows that break each rule, at most ten of each; empty when all rules hold."""
    broken = {}
    for rule, statement in CHECKS.items():
        rows = connection.execute(f"SELECT * FROM ({statement}) AS broken LIMIT 10").fetchall()
        if rows:
            broken[rule] = rows
    return broken
