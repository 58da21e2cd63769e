"""Those who may approve a correction are told that it was asked for, and who asked what came of it."""

from alembic import op

revision = "0023_corrections_asked"
down_revision = "0022_movable_balances"
branch_labels = None
depends_on = None

# The check names the kinds that were there before: a new kind cannot be named in the transaction
# that makes it.
TOLD = """
ALTER TYPE notification_kind ADD VALUE 'asked';
ALTER TYPE notification_kind ADD VALUE 'approved';
ALTER TYPE notification_kind ADD VALUE 'refused';
ALTER TABLE notifications
  ADD COLUMN asked integer NOT NULL DEFAULT 0,
  ADD COLUMN approved integer NOT NULL DEFAULT 0,
  ADD COLUMN refused integer NOT NULL DEFAULT 0,
  DROP CONSTRAINT notifications_counts_check,
  ADD CONSTRAINT notifications_counts_check CHECK (
    least(given, kept, taken, paid, corrected, asked, approved, refused) >= 0
    AND given + kept + taken + paid + corrected + asked + approved + refused > 0);
COMMENT ON TABLE notifications IS
  'one row per person and cause; its counts, one for each kind, are of its rows of notification_events';
GRANT UPDATE (asked, approved, refused) ON notifications TO ates_app;
ALTER TABLE notification_events
  ADD COLUMN correction_id bigint
    CONSTRAINT notification_events_correction_id_fkey REFERENCES corrections (id),
  ADD CONSTRAINT notification_events_correction_id_check CHECK (
    (kind IN ('given', 'kept', 'taken', 'paid', 'corrected')) = (correction_id IS NULL));
"""
# A type cannot forget a value: it is made anew.
UNTOLD = """
DELETE FROM notification_events WHERE kind IN ('asked', 'approved', 'refused');
DELETE FROM notifications WHERE given + kept + taken + paid + corrected = 0;
ALTER TABLE notifications DROP CONSTRAINT notifications_counts_check,
  DROP COLUMN asked, DROP COLUMN approved, DROP COLUMN refused,
  ADD CONSTRAINT notifications_counts_check CHECK (
    least(given, kept, taken, paid, corrected) >= 0 AND given + kept + taken + paid + corrected > 0);
COMMENT ON TABLE notifications IS 'one row per person and cause; given, kept, taken, paid and'
  ' corrected count its rows of notification_events';
ALTER TABLE notification_events DROP COLUMN correction_id,
  DROP CONSTRAINT notification_events_task_id_check;
ALTER TYPE notification_kind RENAME TO notification_kind_of_0023;
CREATE TYPE notification_kind AS ENUM ('given', 'kept', 'taken', 'paid', 'corrected');
ALTER TABLE notification_events
  ALTER COLUMN kind TYPE notification_kind USING kind::text::notification_kind;
ALTER TABLE notification_events ADD CONSTRAINT notification_events_task_id_check
  CHECK ((kind IN ('given', 'kept', 'taken')) = (task_id IS NOT NULL));
DROP TYPE notification_kind_of_0023;
"""


def upgrade() -> None:
    op.execute(TOLD)


def downgrade() -> None:
    op.execute(UNTOLD)
