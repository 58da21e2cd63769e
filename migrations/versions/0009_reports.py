"""Corrections, sealed blocks and exports."""

from alembic import op

revision = "0009_reports"
down_revision = "0008_system"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SELECT 1")


def downgrade() -> None:
    op.execute("SELECT 1")
