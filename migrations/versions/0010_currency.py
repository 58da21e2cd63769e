"""The ledger's currency: what CURRENCY says when the ledger is made, and for good."""

import sqlalchemy as sa
from alembic import op
from flask import current_app

revision = "0010_currency"
down_revision = "0009_reports"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE accounts ADD COLUMN currency text")
    currency = current_app.config["SETTINGS"].currency
    op.execute(sa.text("UPDATE accounts SET currency = :currency").bindparams(currency=currency))
    op.execute(
        "ALTER TABLE accounts ALTER COLUMN currency SET NOT NULL,"
        " ADD CONSTRAINT accounts_currency_check CHECK (currency ~ '^[A-Z]{3}$')"
    )


def downgrade() -> None:
    op.execute("ALTER TABLE accounts DROP COLUMN currency")
