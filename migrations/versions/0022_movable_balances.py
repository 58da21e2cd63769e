"""Balances without an index, so that moving one leaves the account's other indexes alone.

PostgreSQL keeps a new version of a row on its page, without an entry in any index, unless an indexed
column changed (HOT). Each transfer changed one; and while somebody held a snapshot, every look-up of
an account walked along all of its entries. Who is below zero is read from end to end: a company
has thousands of accounts, not millions.
"""

from alembic import op

revision = "0022_movable_balances"
down_revision = "0021_corrections_told"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("DROP INDEX accounts_negative_idx")


def downgrade() -> None:
    op.execute("CREATE INDEX accounts_negative_idx ON accounts (balance, id) WHERE balance < 0")
