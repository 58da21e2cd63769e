"""Corrections, sealed blocks and exports; days that no change of the time zone may move."""

from alembic import op

revision = "0009_reports"
down_revision = "0008_system"
branch_labels = None
depends_on = None

# A fee or a reward that was reversed changes the company's income; a payout that was reversed (the
# bank sent it back) does not: so the two are summed apart. Both are signed for the employee.
ROLL_UPS = """
ALTER TABLE account_days ADD COLUMN payouts_reversed bigint NOT NULL DEFAULT 0;
ALTER TABLE account_days ALTER COLUMN delta
  SET EXPRESSION AS (rewards - fees - payouts + corrections + payouts_reversed);
ALTER TABLE ledger_days ADD COLUMN payouts_reversed bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN ledger_days.corrections IS
  'reversals of fees and rewards, signed for the employees; income is less by as much';
COMMENT ON COLUMN ledger_days.payouts_reversed IS 'payouts that came back; no part of the income';
CREATE INDEX logs_timestamp_idx ON logs USING brin (timestamp);
CREATE INDEX account_transfers_timestamp_idx ON account_transfers USING brin (timestamp);
CREATE INDEX account_transfers_rare_idx ON account_transfers (business_day, id)
  WHERE kind IN ('payout', 'reversal');
"""

CORRECTIONS = """
CREATE TYPE correction_state AS ENUM ('requested', 'done', 'refused');
CREATE TABLE corrections (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  transfer_id bigint NOT NULL
    CONSTRAINT corrections_transfer_id_fkey REFERENCES account_transfers (id),
  reason text NOT NULL,
  state correction_state NOT NULL DEFAULT 'requested',
  requested_by bigint NOT NULL CONSTRAINT corrections_requested_by_fkey REFERENCES users (id),
  requested_at timestamptz NOT NULL DEFAULT business_now(),
  decided_by bigint CONSTRAINT corrections_decided_by_fkey REFERENCES users (id),
  decided_at timestamptz,
  decided_alone boolean NOT NULL DEFAULT false,
  note text,
  reversal_id bigint CONSTRAINT corrections_reversal_id_fkey REFERENCES account_transfers (id),
  CONSTRAINT corrections_reversal_id_key UNIQUE (reversal_id),
  CONSTRAINT corrections_reason_check CHECK (char_length(btrim(reason)) BETWEEN 1 AND 400),
  CONSTRAINT corrections_note_check CHECK (char_length(note) <= 400),
  CONSTRAINT corrections_decided_check CHECK (
    (state = 'requested') = (decided_at IS NULL) AND (decided_at IS NULL) = (decided_by IS NULL)),
  CONSTRAINT corrections_done_check CHECK ((state = 'done') = (reversal_id IS NOT NULL)),
  CONSTRAINT corrections_second_person_check CHECK (
    state <> 'done' OR decided_alone OR decided_by <> requested_by)
);
COMMENT ON COLUMN corrections.decided_alone IS
  'nobody else was there who could have approved it: no second accountant, no administrator';
CREATE UNIQUE INDEX corrections_transfer_id_key ON corrections (transfer_id)
  WHERE state <> 'refused';
CREATE TRIGGER corrections_fence BEFORE INSERT OR UPDATE ON corrections
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_when_stopped();
CREATE INDEX corrections_requested_idx ON corrections (id) WHERE state = 'requested';
GRANT SELECT, INSERT,
  UPDATE (state, decided_by, decided_at, decided_alone, note, reversal_id) ON corrections
  TO ates_app;
"""

BLOCKS = """
CREATE TABLE ledger_blocks (
  id bigint PRIMARY KEY,
  last_xid xid8 NOT NULL,
  last_id bigint NOT NULL,
  transfers integer NOT NULL,
  digests bytea NOT NULL,
  previous_hash bytea NOT NULL,
  hash bytea NOT NULL,
  sealed_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT ledger_blocks_last_key UNIQUE (last_xid, last_id),
  CONSTRAINT ledger_blocks_hash_key UNIQUE (hash),
  CONSTRAINT ledger_blocks_id_check CHECK (id > 0),
  CONSTRAINT ledger_blocks_hashes_check CHECK (
    octet_length(hash) = 32 AND octet_length(previous_hash) = 32),
  CONSTRAINT ledger_blocks_digests_check CHECK (
    transfers > 0 AND octet_length(digests) = 24 * transfers)
);
COMMENT ON TABLE ledger_blocks IS
  'a chain over the transfers in the order of (xid, id), up to and including (last_xid, last_id)';
COMMENT ON COLUMN ledger_blocks.digests IS
  'for each transfer 8 bytes of id and 16 bytes of its SHA-256: they name the row that was changed';
GRANT SELECT, INSERT ON ledger_blocks TO ates_app;
CREATE TRIGGER ledger_blocks_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_blocks
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE business_days ADD COLUMN sealed_block bigint
  CONSTRAINT business_days_sealed_block_fkey REFERENCES ledger_blocks (id),
  ADD CONSTRAINT business_days_sealed_check CHECK (sealed_block IS NULL OR status = 'closed');
COMMENT ON COLUMN business_days.sealed_block IS
  'the block whose hash seals every transfer up to the day; NULL until all of them are sealed';
CREATE INDEX business_days_unsealed_idx ON business_days (day)
  WHERE status = 'closed' AND sealed_block IS NULL;
ALTER TABLE emails ADD COLUMN business_day date
  CONSTRAINT emails_business_day_fkey REFERENCES business_days (day);
COMMENT ON COLUMN emails.business_day IS 'of a closing report: the day that was closed';
CREATE INDEX emails_unsent_idx ON emails (id) WHERE state <> 'sent';
"""

# 55000 (not in prerequisite state): no event is at fault, so the relay waits and parks nothing.
ADJACENT_DAYS = """
CREATE FUNCTION keep_closed_days() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  closed record;
BEGIN
  SELECT day, upper(during) AS ended INTO closed FROM business_days
  WHERE status <> 'open' ORDER BY day DESC LIMIT 1;
  IF NEW.day > closed.day AND (lower(NEW.during) < closed.ended
      OR (NEW.day = closed.day + 1 AND lower(NEW.during) <> closed.ended)) THEN
    RAISE EXCEPTION 'BUSINESS_TIMEZONE would move a closed day: % ended at %, and % would begin at %',
      closed.day, closed.ended, NEW.day, lower(NEW.during) USING ERRCODE = '55000';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER business_days_adjacent BEFORE INSERT OR UPDATE OF during ON business_days
  FOR EACH ROW EXECUTE FUNCTION keep_closed_days();
"""

EXPORTS = """
CREATE TYPE export_state AS ENUM ('queued', 'running', 'done', 'failed');
CREATE TABLE exports (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  requested_by bigint NOT NULL CONSTRAINT exports_requested_by_fkey REFERENCES users (id),
  format text NOT NULL CONSTRAINT exports_format_check CHECK (format IN ('csv', 'xlsx')),
  filter jsonb NOT NULL,
  state export_state NOT NULL DEFAULT 'queued',
  rows_total bigint NOT NULL,
  rows_done bigint NOT NULL DEFAULT 0,
  attempts integer NOT NULL DEFAULT 0,
  requested_at timestamptz NOT NULL DEFAULT now(),
  leased_until timestamptz,
  finished_at timestamptz,
  size_bytes bigint,
  error text,
  CONSTRAINT exports_running_check CHECK ((state = 'running') = (leased_until IS NOT NULL)),
  CONSTRAINT exports_finished_check CHECK (
    (state IN ('done', 'failed')) = (finished_at IS NOT NULL))
);
CREATE INDEX exports_waiting_idx ON exports (id) WHERE state IN ('queued', 'running');
CREATE INDEX exports_requested_by_idx ON exports (requested_by, id);
GRANT SELECT, INSERT, UPDATE, DELETE ON exports TO ates_app;
"""


def upgrade() -> None:
    for statements in (ROLL_UPS, CORRECTIONS, BLOCKS, ADJACENT_DAYS, EXPORTS):
        op.execute(statements)


def downgrade() -> None:
    op.execute("DROP TABLE exports")
    op.execute("DROP TYPE export_state")
    op.execute("DROP TRIGGER business_days_adjacent ON business_days")
    op.execute("DROP FUNCTION keep_closed_days()")
    op.execute("DROP INDEX emails_unsent_idx")
    op.execute("ALTER TABLE emails DROP COLUMN business_day")
    op.execute("DROP INDEX business_days_unsealed_idx")
    op.execute(
        "ALTER TABLE business_days DROP CONSTRAINT business_days_sealed_check,"
        " DROP COLUMN sealed_block"
    )
    op.execute("DROP TABLE ledger_blocks, corrections")
    op.execute("DROP TYPE correction_state")
    op.execute(
        "DROP INDEX IF EXISTS account_transfers_rare_idx, account_transfers_timestamp_idx,"
        " logs_timestamp_idx"
    )
    op.execute("ALTER TABLE ledger_days DROP COLUMN payouts_reversed")
    op.execute(
        "ALTER TABLE account_days"
        " ALTER COLUMN delta SET EXPRESSION AS (rewards - fees - payouts + corrections)"
    )
    op.execute("ALTER TABLE account_days DROP COLUMN payouts_reversed")
