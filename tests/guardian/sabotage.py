"""How a superuser, whom no trigger or foreign key holds back, breaks each rule of the guardian."""

from __future__ import annotations

# By the name of the check: it must find what this did.
SABOTAGE: dict[str, str] = {
    "each assignment has exactly one fee": """
        DELETE FROM account_transfers WHERE id =
          (SELECT max(id) FROM account_transfers WHERE kind = 'assign_fee')""",
    "each completion has exactly one reward": """
        DELETE FROM account_transfers WHERE kind = 'completion_reward'""",
    "each fee and reward has the log entry that it is for": """
        INSERT INTO account_transfers (event_id, kind, debit_account_id, credit_account_id,
          owner_account_id, amount, balance_after, account_version, timestamp, business_day,
          task_id)
        SELECT uuidv7(), kind, debit_account_id, credit_account_id, owner_account_id, amount, 0,
               account_version + 1000, timestamp, business_day, task_id
        FROM account_transfers WHERE kind = 'assign_fee' LIMIT 1""",
    "each fee and reward is its assignee's, at the task's price": """
        UPDATE account_transfers SET amount = amount + 1
        WHERE id = (SELECT min(id) FROM account_transfers)""",
    "each transfer is between the right accounts": """
        UPDATE account_transfers SET debit_account_id = credit_account_id,
          credit_account_id = debit_account_id
        WHERE id = (SELECT min(id) FROM account_transfers)""",
    "each log entry's event is in the log of events": """
        UPDATE outbox SET user_id = user_id + 1
        WHERE event_id = (SELECT event_id FROM logs LIMIT 1)""",
    "each task's event has its log entry": """
        INSERT INTO outbox (xid, type, schema_version, task_id, user_id, actor_id)
        SELECT xid, type, 1, task_id, user_id, actor_id FROM outbox
        WHERE type = 'TaskCreated' ORDER BY outbox.xid LIMIT 1""",
    "each task follows create, assign*, complete": """
        DELETE FROM logs WHERE type = 'create' AND task_id = (SELECT min(task_id) FROM logs)""",
    "each task is as its log tells": """
        UPDATE tasks SET is_finished = false, finished_at = NULL
        WHERE id = (SELECT min(id) FROM tasks WHERE is_finished)""",
    "each balance is the sum of its transfers": """
        UPDATE accounts SET balance = balance + 1 WHERE id =
          (SELECT min(id) FROM accounts WHERE kind = 'employee')""",
    "each balance after a transfer is that before and the transfer": """
        UPDATE account_transfers SET balance_after = balance_after + 1
        WHERE id = (SELECT min(id) FROM account_transfers)""",
    "each account's day is the sum of its transfers": "UPDATE account_days SET fees = fees + 1",
    "each day is the sum of its transfers": "UPDATE ledger_days SET rewards = rewards + 1",
    "each reversal undoes the whole of one transfer": """
        INSERT INTO account_transfers (event_id, kind, debit_account_id, credit_account_id,
          owner_account_id, amount, balance_after, account_version, timestamp, business_day,
          reverses_id)
        SELECT uuidv7(), 'reversal', credit_account_id, debit_account_id, owner_account_id,
               amount + 1, 0, account_version + 1000, timestamp, business_day, id
        FROM account_transfers WHERE kind = 'assign_fee' LIMIT 1""",
    "each payout is one transfer and one mail": """
        DELETE FROM emails WHERE id =
          (SELECT min(id) FROM emails WHERE payout_id IS NOT NULL)""",
    "each payout transfer has its event, and the reverse": """
        UPDATE outbox SET payload = jsonb_set(payload, '{amount}', '1')
        WHERE type = 'PayoutMade'""",
    "each payout transfer is a payout's": """
        DELETE FROM payouts WHERE id = (SELECT min(id) FROM payouts)""",
    "a closed day left no balance of its end above zero": """
        WITH unpaid AS (
          UPDATE account_days SET payouts = 0 WHERE payouts > 0
          RETURNING account_id, old.payouts)
        UPDATE accounts a SET balance = a.balance + unpaid.payouts
        FROM unpaid WHERE a.id = unpaid.account_id""",
    "a closed day's debts are as they were frozen": """
        UPDATE business_days SET debts = debts - 1 WHERE status = 'closed'""",
    "a closed day's totals are its transfers'": """
        UPDATE business_days SET paid_total = paid_total + 1 WHERE status = 'closed'""",
    "the sealed ledger is as it was sealed": """
        UPDATE account_transfers SET recorded_at = recorded_at - interval '1 second'
        WHERE id = (SELECT min(id) FROM account_transfers)""",
    "the log and its cursors are of this database": """
        UPDATE outbox_cursors SET xid = '9000000000000'""",
    "no event is parked": """
        INSERT INTO dead_letters (consumer, event_id, xid, outbox_id, type, cause, fingerprint)
        SELECT 'accounting', event_id, xid, id, type, 'made up', '' FROM outbox LIMIT 1""",
    "no event waits too long": """
        WITH long AS (UPDATE system_state SET since = now() - interval '1 hour')
        UPDATE outbox_cursors SET xid = '0', id = 0, updated_at = now() - interval '1 hour'""",
    "mail goes out": "UPDATE emails SET state = 'failed', last_error = 'made up'",
    "the ledger is append-only": "GRANT UPDATE ON account_transfers TO ates_app",
}
# What the incremental round cannot see, each with why.
ONLY_AT_NIGHT = {
    "the sealed ledger is as it was sealed": "it reads the seals of the newest blocks alone",
}
