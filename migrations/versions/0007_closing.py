"""Payouts, the mail that tells of them, and the ticks of the schedule."""

from alembic import op

revision = "0007_closing"
down_revision = "0006_ledger"
branch_labels = None
depends_on = None

PAYOUTS = """
CREATE TABLE payouts (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  business_day date NOT NULL
    CONSTRAINT payouts_business_day_fkey REFERENCES business_days (day),
  account_id bigint NOT NULL CONSTRAINT payouts_account_id_fkey REFERENCES accounts (id),
  transfer_id bigint NOT NULL
    CONSTRAINT payouts_transfer_id_fkey REFERENCES account_transfers (id),
  amount bigint NOT NULL CONSTRAINT payouts_amount_check CHECK (amount > 0),
  CONSTRAINT payouts_business_day_account_id_key UNIQUE (business_day, account_id),
  CONSTRAINT payouts_transfer_id_key UNIQUE (transfer_id)
);
CREATE INDEX payouts_account_id_idx ON payouts (account_id);
GRANT SELECT, INSERT ON payouts TO ates_app;
CREATE TRIGGER payouts_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON payouts
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
"""

EMAILS = """
CREATE TYPE email_state AS ENUM ('queued', 'sending', 'sent', 'failed', 'unknown');
CREATE TABLE emails (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  dedupe_key text NOT NULL,
  message_id text NOT NULL,
  user_id bigint NOT NULL CONSTRAINT emails_user_id_fkey REFERENCES users (id),
  kind text NOT NULL,
  payout_id bigint CONSTRAINT emails_payout_id_fkey REFERENCES payouts (id),
  state email_state NOT NULL DEFAULT 'queued',
  attempts integer NOT NULL DEFAULT 0,
  queued_at timestamptz NOT NULL DEFAULT now(),
  due_at timestamptz NOT NULL DEFAULT now(),
  leased_until timestamptz,
  sent_at timestamptz,
  last_error text,
  CONSTRAINT emails_dedupe_key_key UNIQUE (dedupe_key),
  CONSTRAINT emails_sending_check CHECK ((state = 'sending') = (leased_until IS NOT NULL)),
  CONSTRAINT emails_sent_check CHECK ((state = 'sent') = (sent_at IS NOT NULL))
);
CREATE INDEX emails_due_idx ON emails (due_at, id) WHERE state IN ('queued', 'sending');
CREATE INDEX emails_payout_id_idx ON emails (payout_id);
GRANT SELECT, INSERT, UPDATE ON emails TO ates_app;
"""

TICKS = """
CREATE TABLE schedule_ticks (
  name text NOT NULL,
  tick timestamptz NOT NULL,
  claimed_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT schedule_ticks_pkey PRIMARY KEY (name, tick)
);
GRANT SELECT, INSERT, DELETE ON schedule_ticks TO ates_app;
"""

# Runs as the owner, who is a member of the application's role and so sees when its transactions
# began; a closing day waits for those that began in it.
OLDEST_TRANSACTION = """
CREATE FUNCTION oldest_transaction_started_at() RETURNS timestamptz
  LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
  RETURN (
    SELECT min(xact_start) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
      AND backend_type = 'client backend');
REVOKE ALL ON FUNCTION oldest_transaction_started_at() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION oldest_transaction_started_at() TO ates_app;
"""


def upgrade() -> None:
    for statements in (PAYOUTS, EMAILS, TICKS, OLDEST_TRANSACTION):
        op.execute(statements)


def downgrade() -> None:
    op.execute("DROP FUNCTION oldest_transaction_started_at()")
    op.execute("DROP TABLE schedule_ticks, emails, payouts")
    op.execute("DROP TYPE email_state")
