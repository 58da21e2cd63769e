"""The emergency stop and its fence, the guardian's findings, and the alerts that tell of both.

The fence is a statement trigger on every table that work writes. It takes a shared advisory lock
for the rest of the transaction and then reads the state; a stop writes the state first and then
takes that lock exclusively, so it waits for whoever passed before and nobody passes after. The
lock is only tried: while a stop waits, new writers are refused at once instead of queueing.
"""

from alembic import op

revision = "0008_system"
down_revision = "0007_closing"
branch_labels = None
depends_on = None

# `stopping` refuses new writers; `stopped` says that those under way have ended too.
STATE = """
CREATE TYPE system_status AS ENUM ('running', 'stopping', 'stopped');
CREATE TABLE system_state (
  only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  status system_status NOT NULL DEFAULT 'running',
  incident text CHECK (incident ~ '^[0-9A-Z-]{4,40}$'),
  reason text CHECK (length(reason) BETWEEN 1 AND 500),
  since timestamptz NOT NULL DEFAULT now(),
  changed_by bigint CONSTRAINT system_state_changed_by_fkey REFERENCES users (id),
  origin text CHECK (origin IN ('guardian', 'page', 'command line')),
  CONSTRAINT system_state_stopped_check CHECK (
    status = 'running' OR (incident IS NOT NULL AND reason IS NOT NULL AND origin IS NOT NULL))
);
INSERT INTO system_state DEFAULT VALUES;
GRANT SELECT, UPDATE (status, incident, reason, since, changed_by, origin)
  ON system_state TO ates_app;
"""

# plpgsql, so that the state is read with a snapshot taken after the lock was; and only in READ
# COMMITTED, since a transaction with one old snapshot would not see a stop. No row counts as
# stopped. Names are qualified: a temporary table must not stand in for the state.
FENCE = """
CREATE FUNCTION refuse_when_stopped() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  state public.system_state;
BEGIN
  IF pg_catalog.pg_try_advisory_xact_lock_shared(4)
     AND pg_catalog.current_setting('transaction_isolation') = 'read committed'
     AND (SELECT s.status = 'running' FROM public.system_state s) THEN
    RETURN NULL;
  END IF;
  IF pg_catalog.current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'changes are made in READ COMMITTED only'
      USING ERRCODE = 'invalid_transaction_state';
  END IF;
  SELECT * INTO state FROM public.system_state;
  RAISE EXCEPTION 'changes are stopped' USING ERRCODE = '57ST0',
    DETAIL = pg_catalog.jsonb_build_object(
      'incident', coalesce(state.incident, 'UNKNOWN'), 'since', state.since,
      'reason', state.reason)::text;
END $$
"""

# Sign-in, sessions, tokens, throttling, the audit log and the guardian's own tables are not
# here: they go on during a stop. So does the sending of mail that is queued already.
FENCED = {
    "tasks": "INSERT OR UPDATE OR DELETE",
    "logs": "INSERT OR UPDATE OR DELETE",
    "outbox": "INSERT OR UPDATE OR DELETE",
    "outbox_cursors": "INSERT OR UPDATE OR DELETE",
    "dead_letters": "INSERT OR UPDATE OR DELETE",
    "business_days": "INSERT OR UPDATE OR DELETE",
    "task_prices": "INSERT OR UPDATE OR DELETE",
    "accounts": "INSERT OR UPDATE OR DELETE",
    "account_transfers": "INSERT OR UPDATE OR DELETE",
    "account_days": "INSERT OR UPDATE OR DELETE",
    "ledger_days": "INSERT OR UPDATE OR DELETE",
    "payouts": "INSERT OR UPDATE OR DELETE",
    "emails": "INSERT",
    "users": "INSERT OR DELETE OR UPDATE OF role, is_active, login, email",
    "business_clock": "UPDATE",
}

# One row for each check that found something and has not been clean since.
GUARDIAN = """
CREATE TABLE guardian_findings (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  check_name text NOT NULL CHECK (length(check_name) BETWEEN 1 AND 100),
  is_money boolean NOT NULL,
  evidence jsonb NOT NULL,
  rows_found integer NOT NULL CHECK (rows_found > 0),
  first_seen_at timestamptz NOT NULL DEFAULT now(),
  last_seen_at timestamptz NOT NULL DEFAULT now(),
  found_by text NOT NULL CHECK (found_by IN ('increment', 'whole')),
  accepted_at timestamptz,
  accepted_rows integer CHECK ((accepted_rows IS NULL) = (accepted_at IS NULL)),
  resolved_at timestamptz
);
COMMENT ON COLUMN guardian_findings.accepted_rows IS
  'an administrator resumed in spite of this many rows: only more of them stop changes again';
CREATE UNIQUE INDEX guardian_findings_open_key ON guardian_findings (check_name)
  WHERE resolved_at IS NULL;
CREATE TABLE guardian_results (
  check_name text NOT NULL,
  scope text NOT NULL CHECK (scope IN ('increment', 'whole')),
  checked_at timestamptz NOT NULL DEFAULT now(),
  ms integer NOT NULL,
  rows_found integer NOT NULL,
  error text CHECK (length(error) <= 500),
  CONSTRAINT guardian_results_pkey PRIMARY KEY (check_name, scope)
) WITH (fillfactor = 50);
CREATE TABLE guardian_rounds (
  scope text PRIMARY KEY CHECK (scope IN ('increment', 'whole')),
  transfers_below xid8 NOT NULL DEFAULT '0',
  events_xid xid8 NOT NULL DEFAULT '0',
  events_id bigint NOT NULL DEFAULT 0,
  slice_after bigint NOT NULL DEFAULT 0,
  rounds bigint NOT NULL DEFAULT 0,
  ms integer NOT NULL DEFAULT 0,
  finished_at timestamptz
) WITH (fillfactor = 50);
INSERT INTO guardian_rounds (scope) VALUES ('increment'), ('whole');
CREATE TABLE posting_delays (
  up_to_ms integer PRIMARY KEY,
  transfers bigint NOT NULL DEFAULT 0,
  total_ms bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
COMMENT ON TABLE posting_delays IS
  'how long after its cause each transfer was posted: a histogram that only grows; the last bound is without end';
INSERT INTO posting_delays (up_to_ms)
  VALUES (10), (25), (50), (100), (250), (500), (1000), (2500), (5000), (10000), (60000), (2147483647);
GRANT SELECT, INSERT, UPDATE ON guardian_findings, guardian_results TO ates_app;
GRANT SELECT, UPDATE ON guardian_rounds, posting_delays TO ates_app;
"""

# Each alert goes out by every channel that is set; a channel is tried again until it took it.
ALERTS = """
CREATE TABLE alerts (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at timestamptz NOT NULL DEFAULT now(),
  kind text NOT NULL CHECK (kind IN ('stop', 'resume', 'finding', 'test')),
  subject text NOT NULL CHECK (length(subject) <= 200),
  body text NOT NULL CHECK (length(body) <= 10000),
  mailed_at timestamptz,
  posted_at timestamptz,
  attempts integer NOT NULL DEFAULT 0,
  due_at timestamptz NOT NULL DEFAULT now(),
  last_error text CHECK (length(last_error) <= 500)
);
CREATE INDEX alerts_due_idx ON alerts (due_at) WHERE mailed_at IS NULL OR posted_at IS NULL;
GRANT SELECT, INSERT, UPDATE (mailed_at, posted_at, attempts, due_at, last_error)
  ON alerts TO ates_app;
"""

# The doctor plays in temporary tables; the owner of the database may let it.
TEMPORARY = """
DO $$
BEGIN
  EXECUTE format('{verb} TEMPORARY ON DATABASE %I {to} ates_app', current_database());
EXCEPTION WHEN insufficient_privilege THEN
  RAISE NOTICE 'ates_app may not make temporary tables here: bin/ates doctor will say so';
END $$
"""


def upgrade() -> None:
    for statements in (STATE, FENCE, GUARDIAN, ALERTS):
        op.execute(statements)
    for table, changes in FENCED.items():
        op.execute(
            f"CREATE TRIGGER {table}_fence BEFORE {changes} ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION refuse_when_stopped()"
        )
    op.execute(TEMPORARY.format(verb="GRANT", to="TO"))


def downgrade() -> None:
    op.execute(TEMPORARY.format(verb="REVOKE", to="FROM"))
    for table in FENCED:
        op.execute(f"DROP TRIGGER {table}_fence ON {table}")
    op.execute("DROP TABLE alerts, posting_delays, guardian_rounds, guardian_results")
    op.execute("DROP TABLE guardian_findings")
    op.execute("DROP FUNCTION refuse_when_stopped()")
    op.execute("DROP TABLE system_state")
    op.execute("DROP TYPE system_status")
