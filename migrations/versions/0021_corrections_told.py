"""People are told when a transfer of theirs is reversed."""

from alembic import op

revision = "0021_corrections_told"
down_revision = "0020_mail_counter"
branch_labels = None
depends_on = None

# The checks name the kinds that tell of a task: a new kind cannot be named in the transaction that
# makes it.
TOLD = """
ALTER TYPE notification_kind ADD VALUE 'corrected';
ALTER TABLE notifications ADD COLUMN corrected integer NOT NULL DEFAULT 0,
  DROP CONSTRAINT notifications_counts_check,
  ADD CONSTRAINT notifications_counts_check CHECK (
    least(given, kept, taken, paid, corrected) >= 0 AND given + kept + taken + paid + corrected > 0);
COMMENT ON TABLE notifications IS 'one row per person and cause; given, kept, taken, paid and'
  ' corrected count its rows of notification_events';
GRANT UPDATE (corrected) ON notifications TO ates_app;
ALTER TABLE notification_events DROP CONSTRAINT notification_events_task_id_check,
  ADD CONSTRAINT notification_events_task_id_check CHECK (
    (kind IN ('given', 'kept', 'taken')) = (task_id IS NOT NULL));
"""
# A type cannot forget a value: it is made anew.
UNTOLD = """
DELETE FROM notification_events WHERE kind = 'corrected';
DELETE FROM notifications WHERE given + kept + taken + paid = 0;
ALTER TABLE notifications DROP CONSTRAINT notifications_counts_check, DROP COLUMN corrected,
  ADD CONSTRAINT notifications_counts_check CHECK (
    least(given, kept, taken, paid) >= 0 AND given + kept + taken + paid > 0);
COMMENT ON TABLE notifications IS
  'one row per person and cause; given, kept, taken and paid count its rows of notification_events';
ALTER TABLE notification_events DROP CONSTRAINT notification_events_task_id_check;
ALTER TYPE notification_kind RENAME TO notification_kind_of_0021;
CREATE TYPE notification_kind AS ENUM ('given', 'kept', 'taken', 'paid');
ALTER TABLE notification_events
  ALTER COLUMN kind TYPE notification_kind USING kind::text::notification_kind;
ALTER TABLE notification_events ADD CONSTRAINT notification_events_task_id_check
  CHECK ((kind = 'paid') = (task_id IS NULL));
DROP TYPE notification_kind_of_0021;
"""


def upgrade() -> None:
    op.execute(TOLD)


def downgrade() -> None:
    op.execute(UNTOLD)
