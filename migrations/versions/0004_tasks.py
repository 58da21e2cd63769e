"""Tasks and the log of what happened to them."""

from alembic import op

revision = "0004_tasks"
down_revision = "0003_access"
branch_labels = None
depends_on = None

TASKS = """
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE TABLE tasks (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name text NOT NULL,
  description text NOT NULL DEFAULT '',
  ticket_key text,
  assigned_to bigint NOT NULL CONSTRAINT tasks_assigned_to_fkey REFERENCES users (id),
  is_finished boolean NOT NULL DEFAULT false,
  created_by bigint NOT NULL CONSTRAINT tasks_created_by_fkey REFERENCES users (id),
  created_at timestamptz NOT NULL DEFAULT business_now(),
  assigned_at timestamptz NOT NULL DEFAULT business_now(),
  finished_at timestamptz,
  assignments integer NOT NULL DEFAULT 1,
  CONSTRAINT tasks_name_check CHECK (char_length(name) BETWEEN 1 AND 200 AND name !~ '[][]'),
  CONSTRAINT tasks_description_check CHECK (char_length(description) <= 20000),
  CONSTRAINT tasks_ticket_key_check CHECK (ticket_key ~ '^[A-Z][A-Z0-9_]{0,19}-[0-9]{1,10}$'),
  CONSTRAINT tasks_finished_at_check CHECK (is_finished = (finished_at IS NOT NULL)),
  CONSTRAINT tasks_assignments_check CHECK (assignments >= 1)
) WITH (fillfactor = 80);
CREATE INDEX tasks_open_idx ON tasks (id) WHERE NOT is_finished;
CREATE INDEX tasks_open_of_idx ON tasks (assigned_to, id) WHERE NOT is_finished;
CREATE INDEX tasks_finished_of_idx ON tasks (assigned_to, finished_at, id) WHERE is_finished;
CREATE INDEX tasks_finished_at_idx ON tasks (finished_at) WHERE is_finished;
CREATE INDEX tasks_created_at_idx ON tasks (created_at);
CREATE INDEX tasks_search_idx ON tasks
  USING gin ((coalesce(ticket_key, '') || ' ' || name) gin_trgm_ops);
GRANT SELECT, INSERT, UPDATE ON tasks TO ates_app;
"""

LOGS = """
CREATE TYPE log_type AS ENUM ('create', 'assign', 'complete', 'other');
CREATE TABLE logs (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  task_id bigint NOT NULL CONSTRAINT logs_task_id_fkey REFERENCES tasks (id),
  timestamp timestamptz NOT NULL DEFAULT business_now(),
  type log_type NOT NULL,
  description text,
  user_id bigint NOT NULL CONSTRAINT logs_user_id_fkey REFERENCES users (id),
  actor_id bigint NOT NULL CONSTRAINT logs_actor_id_fkey REFERENCES users (id),
  event_id uuid,
  CONSTRAINT logs_description_check CHECK (char_length(description) <= 500)
);
COMMENT ON COLUMN logs.user_id IS 'the employee whom the entry concerns: the assignee';
COMMENT ON COLUMN logs.event_id IS 'the event in the outbox that tells of the same change';
CREATE INDEX logs_task_id_idx ON logs (task_id, id);
GRANT SELECT, INSERT ON logs TO ates_app;
CREATE TRIGGER logs_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON logs
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
"""


def upgrade() -> None:
    op.execute(TASKS)
    op.execute(LOGS)


def downgrade() -> None:
    op.execute("DROP TABLE logs")
    op.execute("DROP TYPE log_type")
    op.execute("DROP TABLE tasks")
    op.execute("DROP EXTENSION pg_trgm")
