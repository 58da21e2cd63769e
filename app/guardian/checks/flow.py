"""Whether events flow, mail goes out, and what protects the ledger is in place."""

from __future__ import annotations

from app.guardian.checks.declaration import Check, checked_alike
from app.kernel.system import HEARTBEAT_S

WAITS_S = 60
TRANSACTION_S = 120

CHECKS: tuple[Check, ...] = (
    checked_alike(
        name="the log and its cursors are of this database",
        means="A cursor, or a part of the log, lies beyond the newest transaction, or a cursor"
        " names no event: the log was restored or loaded from elsewhere, and events would be"
        " skipped.",
        to_do="Run `bin/ates outbox rebase`, which loses and doubles nothing, and then resume.",
        is_money=True,
        statement="""
SELECT 'cursor' AS what, consumer, xid::text FROM outbox_cursors c
WHERE xid >= log_xid(pg_snapshot_xmax(pg_current_snapshot())) OR (c.id > 0 AND NOT EXISTS (
  SELECT FROM outbox o WHERE o.xid = c.xid AND o.id = c.id))
UNION ALL (
SELECT 'event', type, xid::text FROM outbox
WHERE xid >= log_xid(pg_snapshot_xmax(pg_current_snapshot())) ORDER BY outbox.xid DESC LIMIT 10)""",
    ),
    checked_alike(
        name="no event is parked",
        means="A consumer could not take an event; the others went on without it.",
        to_do="Dead letters shows its payload and error: repair the cause and retry it, or discard"
        " it with a reason.",
        statement="""
SELECT id, consumer, type, event_id, cause, parked_at FROM dead_letters
WHERE state = 'parked' ORDER BY id""",
    ),
    checked_alike(
        name="no event waits too long",
        means=f"Events wait and no batch was delivered for {WAITS_S} s: no worker runs, or"
        " something holds the cursor.",
        to_do="Is a worker running (Health)? Is there an old transaction in pg_stat_activity?",
        statement=f"""
SELECT c.consumer, c.updated_at, (SELECT count(*) FROM (
  SELECT FROM outbox o WHERE o.xid >= c.xid AND (o.xid, o.id) > (c.xid, c.id) LIMIT 1000) AS w)
  AS waiting
FROM outbox_cursors c
WHERE c.updated_at < now() - interval '{WAITS_S} seconds'
  AND EXISTS (SELECT FROM outbox o WHERE o.xid >= c.xid AND (o.xid, o.id) > (c.xid, c.id)
              AND o.occurred_at < business_now() - interval '{WAITS_S} seconds')
  AND (SELECT status = 'running' AND since < now() - interval '{WAITS_S} seconds'
       FROM system_state)""",
    ),
    checked_alike(
        name="no transaction is too old",
        means=f"A transaction runs for more than {TRANSACTION_S} s; it may hold back the relay and"
        " the closing of days.",
        to_do="Find it in pg_stat_activity by xact_start; end it if nothing waits for it.",
        statement=f"""
SELECT oldest_transaction_started_at() AS started_at
WHERE oldest_transaction_started_at() < now() - interval '{TRANSACTION_S} seconds'""",
    ),
    checked_alike(
        name="mail goes out",
        means="Mail was given up, or a server may or may not have taken it.",
        to_do="Is SMTP_URL right and the server up? An accountant can send a payout's mail again.",
        statement="""
SELECT id, kind, state, attempts, last_error FROM emails
WHERE state IN ('failed', 'unknown') ORDER BY id""",
    ),
    checked_alike(
        name="the ledger is append-only",
        means="A trigger or a privilege that protects the ledger and its fence is not in place.",
        to_do="Somebody changed the schema by hand: compare it with the migrations.",
        statement="""
SELECT c.relname AS table_name, t.tgname AS missing FROM pg_trigger t
JOIN pg_class c ON c.oid = t.tgrelid
WHERE (t.tgname LIKE '%\\_append\\_only' OR t.tgname LIKE '%\\_fence')
  AND NOT t.tgisinternal AND t.tgenabled <> 'O'
UNION ALL
SELECT table_name, 'append-only trigger' FROM unnest(
  ARRAY['account_transfers', 'outbox', 'logs', 'audit_log', 'payouts', 'task_prices'])
  AS table_name
WHERE NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = table_name::regclass
                  AND t.tgname = table_name || '_append_only')
UNION ALL
SELECT table_name, 'fence' FROM unnest(
  ARRAY['account_transfers', 'accounts', 'outbox', 'tasks', 'logs', 'payouts', 'business_days'])
  AS table_name
WHERE NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = table_name::regclass
                  AND t.tgname = table_name || '_fence')
UNION ALL
SELECT c.relname, missing FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
CROSS JOIN unnest(ARRAY['outbox_append_only', 'outbox_fence']) AS missing
WHERE i.inhparent = 'outbox'::regclass AND c.relkind = 'r' AND NOT EXISTS (
  SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND t.tgname = missing)
UNION ALL
SELECT c.relname, privilege FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
CROSS JOIN unnest(ARRAY['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) AS privilege
WHERE i.inhparent = 'outbox'::regclass AND c.relkind = 'r'
  AND has_table_privilege('ates_app', c.oid, privilege)
UNION ALL
SELECT table_name, 'order' FROM unnest(ARRAY['account_transfers', 'outbox']) AS table_name
WHERE NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = table_name::regclass
                  AND t.tgname = table_name || '_order' AND t.tgenabled = 'O')
UNION ALL
SELECT table_name, privilege FROM unnest(
  ARRAY['account_transfers', 'outbox', 'logs', 'audit_log', 'payouts', 'task_prices'])
  AS table_name CROSS JOIN unnest(ARRAY['UPDATE', 'DELETE', 'TRUNCATE']) AS privilege
WHERE has_table_privilege('ates_app', table_name, privilege)""",
    ),
    checked_alike(
        name="no page of the database is damaged",
        means="PostgreSQL read a page that is not what it had written: the disk, or the memory,"
        " changed it. What else was changed there is not known.",
        to_do="Trust neither disk nor memory. Fail over to the standby, or restore to a moment"
        " before; `pg_amcheck` and the server's log name what is damaged.",
        is_money=True,
        statement="""
SELECT datname, checksum_failures, checksum_last_failure FROM pg_stat_database
WHERE checksum_failures > 0 AND (datname = current_database() OR datname IS NULL)""",
    ),
    checked_alike(
        name="standbys follow",
        means="Commits shall wait for a standby, and none is connected.",
        to_do="Start the standby, or take it out of synchronous_standby_names knowingly.",
        statement="""
SELECT current_setting('synchronous_standby_names') AS wanted
WHERE current_setting('synchronous_standby_names') <> '' AND NOT pg_is_in_recovery()
  AND NOT EXISTS (SELECT FROM pg_stat_replication)""",
    ),
)

# No check of the rounds: whoever watches over them looks (app.guardian.heartbeat).
HEARTBEAT = Check(
    name="the guardian makes its rounds",
    means=f"No round of the guardian was finished for {HEARTBEAT_S} s: nothing is checked, and"
    " nothing would be stopped.",
    to_do="Is a worker running, and the scheduler (Health)? Their logs say why a round fails.",
    whole=f"""
SELECT finished_at, rounds FROM guardian_rounds WHERE scope = 'increment'
  AND coalesce(finished_at < now() - interval '{HEARTBEAT_S} seconds', true)""",
    increment=None,
    is_money=False,
)
