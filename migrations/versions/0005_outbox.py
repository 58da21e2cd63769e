"""The event log, a cursor for each consumer, and the dead letters."""

from alembic import op

revision = "0005_outbox"
down_revision = "0004_tasks"
branch_labels = None
depends_on = None

OUTBOX = """
CREATE TABLE outbox (
  xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
  id bigint GENERATED ALWAYS AS IDENTITY,
  event_id uuid NOT NULL DEFAULT uuidv7(),
  type text NOT NULL,
  schema_version smallint NOT NULL,
  task_id bigint,
  user_id bigint,
  actor_id bigint,
  occurred_at timestamptz NOT NULL DEFAULT business_now(),
  payload jsonb NOT NULL DEFAULT '{}',
  traceparent text,
  CONSTRAINT outbox_pkey PRIMARY KEY (xid, id)
);
COMMENT ON TABLE outbox IS 'one row per event, written by the transaction that made the change';
CREATE INDEX outbox_event_id_idx ON outbox (event_id);
CREATE INDEX outbox_task_id_idx ON outbox (task_id) WHERE task_id IS NOT NULL;
GRANT SELECT, INSERT ON outbox TO ates_app;
CREATE TRIGGER outbox_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON outbox
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
"""

CURSORS = """
CREATE TABLE outbox_cursors (
  consumer text PRIMARY KEY,
  epoch integer NOT NULL DEFAULT 1,
  xid xid8 NOT NULL DEFAULT '0',
  id bigint NOT NULL DEFAULT 0,
  events bigint NOT NULL DEFAULT 0,
  batches bigint NOT NULL DEFAULT 0,
  last_batch_events integer NOT NULL DEFAULT 0,
  last_batch_ms integer NOT NULL DEFAULT 0,
  updated_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);
COMMENT ON TABLE outbox_cursors IS 'each consumer''s place in the log; its row lock elects the one relay';
GRANT SELECT, INSERT, UPDATE ON outbox_cursors TO ates_app;
"""

DEAD_LETTERS = """
CREATE TYPE dead_letter_state AS ENUM ('parked', 'retried', 'discarded');
CREATE TABLE dead_letters (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  consumer text NOT NULL,
  event_id uuid NOT NULL,
  xid xid8 NOT NULL,
  outbox_id bigint NOT NULL,
  type text NOT NULL,
  cause text NOT NULL,
  fingerprint text NOT NULL,
  state dead_letter_state NOT NULL DEFAULT 'parked',
  attempts integer NOT NULL DEFAULT 1,
  parked_at timestamptz NOT NULL DEFAULT now(),
  retry_at timestamptz NOT NULL DEFAULT now() + interval '1 minute',
  settled_at timestamptz,
  settled_by bigint CONSTRAINT dead_letters_settled_by_fkey REFERENCES users (id),
  reason text,
  CONSTRAINT dead_letters_consumer_event_id_key UNIQUE (consumer, xid, outbox_id),
  CONSTRAINT dead_letters_settled_check CHECK ((state = 'parked') = (settled_at IS NULL)),
  CONSTRAINT dead_letters_reason_check CHECK (state <> 'discarded' OR reason IS NOT NULL)
);
CREATE INDEX dead_letters_parked_idx ON dead_letters (consumer, retry_at) WHERE state = 'parked';
GRANT SELECT, INSERT, UPDATE ON dead_letters TO ates_app;
"""


def upgrade() -> None:
    op.execute(OUTBOX)
    op.execute(CURSORS)
    op.execute(DEAD_LETTERS)


def downgrade() -> None:
    op.execute("DROP TABLE dead_letters")
    op.execute("DROP TYPE dead_letter_state")
    op.execute("DROP TABLE outbox_cursors")
    op.execute("DROP TABLE outbox")
