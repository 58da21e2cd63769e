"""Guardian, stop and what watches."""

from alembic import op

revision = "0008_system"
down_revision = "0007_closing"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SELECT 1")


def downgrade() -> None:
    op.execute("SELECT 1")
