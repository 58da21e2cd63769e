"""A closing that a page began and the worker goes on with."""

from alembic import op

revision = "0016_handed_over"
down_revision = "0015_old_days"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
ALTER TABLE business_days ADD COLUMN handed_over_by bigint
  CONSTRAINT business_days_handed_over_by_fkey REFERENCES users (id);
COMMENT ON COLUMN business_days.handed_over_by IS
  'who began the closing on a page, which does not wait for all of it: the worker pays on for them';
""")


def downgrade() -> None:
    op.execute("ALTER TABLE business_days DROP COLUMN handed_over_by")
