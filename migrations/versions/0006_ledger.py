"""The ledger: business days, prices, accounts, transfers, and the roll-ups kept beside them."""

from alembic import op

revision = "0006_ledger"
down_revision = "0005_outbox"
branch_labels = None
depends_on = None

BUSINESS_DAYS = """
CREATE TYPE business_day_status AS ENUM ('open', 'closing', 'closed');
CREATE TABLE business_days (
  day date PRIMARY KEY,
  during tstzrange NOT NULL,
  status business_day_status NOT NULL DEFAULT 'open',
  closing_at timestamptz,
  closed_at timestamptz,
  fees bigint,
  rewards bigint,
  paid_total bigint,
  paid_count integer,
  CONSTRAINT business_days_during_check CHECK (NOT isempty(during)),
  CONSTRAINT business_days_closing_check CHECK ((status = 'open') = (closing_at IS NULL)),
  CONSTRAINT business_days_closed_check CHECK (
    (status = 'closed') = (closed_at IS NOT NULL AND fees IS NOT NULL AND rewards IS NOT NULL
                           AND paid_total IS NOT NULL AND paid_count IS NOT NULL))
);
COMMENT ON COLUMN business_days.fees IS 'totals in minor units, frozen when the day was closed';
GRANT SELECT, INSERT, UPDATE ON business_days TO ates_app;
"""

TASK_PRICES = """
CREATE TABLE task_prices (
  task_id bigint PRIMARY KEY CONSTRAINT task_prices_task_id_fkey REFERENCES tasks (id),
  assign_price integer NOT NULL,
  complete_price integer NOT NULL,
  CONSTRAINT task_prices_assign_price_check CHECK (assign_price > 0),
  CONSTRAINT task_prices_complete_price_check CHECK (complete_price > 0)
);
COMMENT ON TABLE task_prices IS 'in minor units; drawn once, when Accounting first hears of a task';
GRANT SELECT, INSERT ON task_prices TO ates_app;
CREATE TRIGGER task_prices_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON task_prices
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
"""

ACCOUNTS = """
CREATE TYPE account_kind AS ENUM
  ('employee', 'company_income', 'company_expense', 'payroll_clearing');
CREATE TABLE accounts (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  kind account_kind NOT NULL,
  user_id bigint CONSTRAINT accounts_user_id_fkey REFERENCES users (id),
  balance bigint,
  version bigint NOT NULL DEFAULT 0,
  opened_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT accounts_user_id_key UNIQUE (user_id),
  CONSTRAINT accounts_employee_check CHECK (
    (kind = 'employee') = (user_id IS NOT NULL) AND (kind = 'employee') = (balance IS NOT NULL))
) WITH (fillfactor = 50);
COMMENT ON COLUMN accounts.balance IS
  'minor units; only employees'' accounts store it, so that no row of the company''s is hot';
CREATE UNIQUE INDEX accounts_company_kind_key ON accounts (kind) WHERE kind <> 'employee';
CREATE INDEX accounts_negative_idx ON accounts (balance, id) WHERE balance < 0;
INSERT INTO accounts (kind) VALUES ('company_income'), ('company_expense'), ('payroll_clearing');
GRANT SELECT, INSERT, UPDATE (balance, version) ON accounts TO ates_app;
"""

TRANSFERS = """
CREATE TYPE transfer_kind AS ENUM ('assign_fee', 'completion_reward', 'payout', 'reversal');
CREATE TABLE account_transfers (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  event_id uuid NOT NULL,
  kind transfer_kind NOT NULL,
  debit_account_id bigint NOT NULL
    CONSTRAINT account_transfers_debit_account_id_fkey REFERENCES accounts (id),
  credit_account_id bigint NOT NULL
    CONSTRAINT account_transfers_credit_account_id_fkey REFERENCES accounts (id),
  owner_account_id bigint NOT NULL,
  amount bigint NOT NULL,
  delta_balance bigint NOT NULL GENERATED ALWAYS AS
    (CASE WHEN owner_account_id = credit_account_id THEN amount ELSE -amount END) VIRTUAL,
  balance_after bigint NOT NULL,
  account_version bigint NOT NULL,
  timestamp timestamptz NOT NULL,
  recorded_at timestamptz NOT NULL DEFAULT business_now(),
  business_day date NOT NULL CONSTRAINT account_transfers_business_day_fkey
    REFERENCES business_days (day),
  late boolean NOT NULL DEFAULT false,
  task_id bigint CONSTRAINT account_transfers_task_id_fkey REFERENCES tasks (id),
  description text,
  reverses_id bigint CONSTRAINT account_transfers_reverses_id_fkey
    REFERENCES account_transfers (id),
  xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
  CONSTRAINT account_transfers_event_id_key UNIQUE (event_id),
  CONSTRAINT account_transfers_reverses_id_key UNIQUE (reverses_id),
  CONSTRAINT account_transfers_version_key UNIQUE (owner_account_id, account_version),
  CONSTRAINT account_transfers_amount_check CHECK (amount > 0),
  CONSTRAINT account_transfers_accounts_check CHECK (debit_account_id <> credit_account_id),
  CONSTRAINT account_transfers_owner_check CHECK (
    owner_account_id IN (debit_account_id, credit_account_id)),
  CONSTRAINT account_transfers_reversal_check CHECK (
    (kind = 'reversal') = (reverses_id IS NOT NULL)),
  CONSTRAINT account_transfers_task_check CHECK (
    kind NOT IN ('assign_fee', 'completion_reward') OR task_id IS NOT NULL),
  CONSTRAINT account_transfers_description_check CHECK (char_length(description) <= 500)
);
COMMENT ON COLUMN account_transfers.owner_account_id IS 'the employee''s account of the two';
COMMENT ON COLUMN account_transfers.delta_balance IS 'amount, signed for the owner; minor units';
COMMENT ON COLUMN account_transfers.timestamp IS 'when it occurred; recorded_at is when it was posted';
CREATE INDEX account_transfers_owner_day_idx
  ON account_transfers (owner_account_id, business_day, id);
CREATE INDEX account_transfers_day_idx ON account_transfers (business_day, id);
CREATE INDEX account_transfers_task_id_idx ON account_transfers (task_id) WHERE task_id IS NOT NULL;
CREATE INDEX account_transfers_xid_idx ON account_transfers (xid);
GRANT SELECT, INSERT ON account_transfers TO ates_app;
CREATE TRIGGER account_transfers_append_only
  BEFORE UPDATE OR DELETE OR TRUNCATE ON account_transfers
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
"""

ROLL_UPS = """
CREATE TABLE account_days (
  account_id bigint NOT NULL CONSTRAINT account_days_account_id_fkey REFERENCES accounts (id),
  business_day date NOT NULL,
  fees bigint NOT NULL DEFAULT 0,
  rewards bigint NOT NULL DEFAULT 0,
  payouts bigint NOT NULL DEFAULT 0,
  corrections bigint NOT NULL DEFAULT 0,
  delta bigint NOT NULL GENERATED ALWAYS AS (rewards - fees - payouts + corrections) STORED,
  transfers integer NOT NULL DEFAULT 0,
  CONSTRAINT account_days_pkey PRIMARY KEY (account_id, business_day)
) WITH (fillfactor = 70);
CREATE INDEX account_days_business_day_idx ON account_days (business_day, account_id);
CREATE TABLE ledger_days (
  business_day date PRIMARY KEY,
  fees bigint NOT NULL DEFAULT 0,
  rewards bigint NOT NULL DEFAULT 0,
  payouts bigint NOT NULL DEFAULT 0,
  corrections bigint NOT NULL DEFAULT 0,
  income bigint NOT NULL GENERATED ALWAYS AS (fees - rewards - corrections) STORED,
  transfers integer NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
COMMENT ON TABLE account_days IS 'sums of account_transfers, minor units, kept by the same statement';
GRANT SELECT, INSERT, UPDATE ON account_days, ledger_days TO ates_app;
"""


def upgrade() -> None:
    for statements in (BUSINESS_DAYS, TASK_PRICES, ACCOUNTS, TRANSFERS, ROLL_UPS):
        op.execute(statements)


def downgrade() -> None:
    op.execute("DROP TABLE ledger_days, account_days, account_transfers, accounts")
    op.execute("DROP TABLE task_prices, business_days")
    op.execute("DROP TYPE transfer_kind, account_kind, business_day_status")
