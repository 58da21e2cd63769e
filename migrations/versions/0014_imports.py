"""Backlogs that were uploaded: kept until they are imported, discarded or a day old."""

from alembic import op

revision = "0014_imports"
down_revision = "0013_reassignments"
branch_labels = None
depends_on = None

# A file that waits is a draft and no change, so an emergency stop lets it in: what is imported are
# tasks, which the stop refuses. `preview` is what its page shows, read once from the content.
IMPORTS = """
CREATE TABLE imports (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  owner_id bigint NOT NULL CONSTRAINT imports_owner_id_fkey REFERENCES users (id),
  file_name text NOT NULL,
  size_bytes integer NOT NULL,
  sha256 bytea NOT NULL,
  content bytea,
  tasks integer NOT NULL,
  faults integer NOT NULL,
  preview jsonb NOT NULL,
  uploaded_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz NOT NULL DEFAULT now() + interval '1 day',
  at timestamptz,
  xid xid8,
  CONSTRAINT imports_file_name_check CHECK (char_length(file_name) BETWEEN 1 AND 200),
  CONSTRAINT imports_content_check CHECK (octet_length(content) = size_bytes),
  CONSTRAINT imports_size_check CHECK (size_bytes BETWEEN 1 AND 5242880),
  CONSTRAINT imports_sha256_check CHECK (octet_length(sha256) = 32),
  CONSTRAINT imports_counts_check CHECK (tasks >= 0 AND faults >= 0),
  CONSTRAINT imports_done_check CHECK (
    (at IS NULL) = (content IS NOT NULL) AND (at IS NULL) = (xid IS NULL)
    AND (at IS NULL OR (tasks > 0 AND faults = 0)))
);
COMMENT ON COLUMN imports.at IS 'when its tasks were created, by the business clock';
COMMENT ON COLUMN imports.xid IS 'its events are the rows of outbox with the same';
CREATE UNIQUE INDEX imports_waiting_key ON imports (owner_id, sha256) WHERE at IS NULL;
CREATE INDEX imports_owner_id_idx ON imports (owner_id, id);
CREATE INDEX imports_sha256_idx ON imports (sha256) WHERE at IS NOT NULL;
CREATE INDEX imports_expires_at_idx ON imports (expires_at) WHERE at IS NULL;
GRANT SELECT, INSERT, DELETE, UPDATE (file_name, expires_at, content, at, xid) ON imports
  TO ates_app;
"""


def upgrade() -> None:
    op.execute(IMPORTS)


def downgrade() -> None:
    op.execute("DROP TABLE imports")
