"""Whether a person uses the keyboard's shortcuts: single keys, so they can be switched off."""

from alembic import op

revision = "0011_shortcuts"
down_revision = "0010_currency"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE users ADD COLUMN shortcuts boolean NOT NULL DEFAULT true")
    op.execute("GRANT UPDATE (shortcuts) ON users TO ates_app")


def downgrade() -> None:
    op.execute("ALTER TABLE users DROP COLUMN shortcuts")
