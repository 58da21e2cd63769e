"""Reassignments of all open tasks, each with the events that it made."""

from alembic import op

revision = "0013_reassignments"
down_revision = "0012_board"
branch_labels = None
depends_on = None

# One row for each reassignment of all open tasks, written by the statement that makes it. Its events
# are those of the log with its xid, so how far the ledger is with them can be read off the cursor.
REASSIGNMENTS = """
CREATE TABLE reassignments (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at timestamptz NOT NULL DEFAULT business_now(),
  actor_id bigint NOT NULL CONSTRAINT reassignments_actor_id_fkey REFERENCES users (id),
  tasks integer NOT NULL CONSTRAINT reassignments_tasks_check CHECK (tasks >= 0),
  xid xid8 NOT NULL DEFAULT pg_current_xact_id()
);
COMMENT ON COLUMN reassignments.xid IS 'its events are the rows of outbox with the same';
GRANT SELECT, INSERT ON reassignments TO ates_app;
CREATE TRIGGER reassignments_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON reassignments
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER reassignments_fence BEFORE INSERT ON reassignments
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_when_stopped();
"""


def upgrade() -> None:
    op.execute(REASSIGNMENTS)


def downgrade() -> None:
    op.execute("DROP TABLE reassignments")
