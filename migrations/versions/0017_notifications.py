"""What people are told in the app, how far each has read, and the digest by mail."""

from alembic import op

revision = "0017_notifications"
down_revision = "0016_handed_over"
branch_labels = None
depends_on = None

# A line tells what one transaction did to one person, so that a reassignment of thousands of tasks
# is one line. A payout is nobody's doing.
LINES = """
CREATE TYPE notification_kind AS ENUM ('given', 'kept', 'taken', 'paid');
CREATE TABLE notifications (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  user_id bigint NOT NULL CONSTRAINT notifications_user_id_fkey REFERENCES users (id),
  actor_id bigint CONSTRAINT notifications_actor_id_fkey REFERENCES users (id),
  occurred_at timestamptz NOT NULL,
  given integer NOT NULL DEFAULT 0,
  kept integer NOT NULL DEFAULT 0,
  taken integer NOT NULL DEFAULT 0,
  paid integer NOT NULL DEFAULT 0,
  CONSTRAINT notifications_cause_key UNIQUE NULLS NOT DISTINCT (user_id, occurred_at, actor_id),
  CONSTRAINT notifications_counts_check CHECK (
    least(given, kept, taken, paid) >= 0 AND given + kept + taken + paid > 0)
);
COMMENT ON TABLE notifications IS
  'one row per person and cause; given, kept, taken and paid count its rows of notification_events';
CREATE INDEX notifications_user_id_id_idx ON notifications (user_id, id);
CREATE INDEX notifications_occurred_at_idx ON notifications (occurred_at);
GRANT SELECT, INSERT, UPDATE (given, kept, taken, paid), DELETE ON notifications TO ates_app;
"""

# An event may be told to two people, and to each once.
EVENTS = """
CREATE TABLE notification_events (
  event_id uuid NOT NULL,
  user_id bigint NOT NULL,
  kind notification_kind NOT NULL,
  notification_id bigint NOT NULL CONSTRAINT notification_events_notification_id_fkey
    REFERENCES notifications (id) ON DELETE CASCADE,
  task_id bigint,
  CONSTRAINT notification_events_pkey PRIMARY KEY (event_id, user_id, kind),
  CONSTRAINT notification_events_task_id_check CHECK ((kind = 'paid') = (task_id IS NULL))
);
CREATE INDEX notification_events_line_idx ON notification_events (notification_id, kind, task_id);
GRANT SELECT, INSERT, DELETE ON notification_events TO ates_app;
"""

# Ids of lines come in the order in which they are committed, so one number says what was read.
READERS = """
CREATE TABLE notification_readers (
  user_id bigint PRIMARY KEY
    CONSTRAINT notification_readers_user_id_fkey REFERENCES users (id),
  read_up_to bigint NOT NULL DEFAULT 0,
  mailed_up_to bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
COMMENT ON COLUMN notification_readers.read_up_to IS 'lines up to this id are read';
COMMENT ON COLUMN notification_readers.mailed_up_to IS 'lines up to this id were in a digest';
GRANT SELECT, INSERT, UPDATE ON notification_readers TO ates_app;
"""

DIGEST = """
ALTER TABLE users ADD COLUMN digest text NOT NULL DEFAULT 'off'
  CONSTRAINT users_digest_check CHECK (digest IN ('off', 'daily'));
GRANT UPDATE (digest) ON users TO ates_app;
CREATE INDEX users_digest_idx ON users (id) WHERE digest <> 'off';
ALTER TABLE emails ADD COLUMN after_notification bigint, ADD COLUMN up_to_notification bigint,
  ADD CONSTRAINT emails_digest_check CHECK (
    (kind = 'digest') = (up_to_notification IS NOT NULL)
    AND (after_notification IS NULL) = (up_to_notification IS NULL));
COMMENT ON COLUMN emails.after_notification IS
  'of a digest: it tells of the lines after this one, up to and including up_to_notification';
"""

# A company that is at work already is told of what happens from now on, not of its whole past.
# Events of transactions that still run lie beyond this place.
BEGIN_NOW = """
INSERT INTO outbox_cursors (consumer, xid, id)
SELECT 'notifications', pg_snapshot_xmin(pg_current_snapshot()), 0
WHERE EXISTS (SELECT FROM outbox)
"""

FENCED = ("notifications", "notification_events")


def upgrade() -> None:
    for statements in (LINES, EVENTS, READERS, DIGEST, BEGIN_NOW):
        op.execute(statements)
    for table in FENCED:
        op.execute(
            f"CREATE TRIGGER {table}_fence BEFORE INSERT OR UPDATE OR DELETE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION refuse_when_stopped()"
        )


def downgrade() -> None:
    op.execute("DELETE FROM emails WHERE kind = 'digest'")
    op.execute(
        "ALTER TABLE emails DROP CONSTRAINT emails_digest_check,"
        " DROP COLUMN after_notification, DROP COLUMN up_to_notification"
    )
    op.execute("DROP INDEX users_digest_idx")
    op.execute("ALTER TABLE users DROP COLUMN digest")
    op.execute("DROP TABLE notification_readers, notification_events, notifications")
    op.execute("DROP TYPE notification_kind")
    op.execute("DELETE FROM dead_letters WHERE consumer = 'notifications'")
    op.execute("DELETE FROM outbox_cursors WHERE consumer = 'notifications'")
