"""Words are found in keys and in names each by their own trigrams.

A ticket key is looked for as one, and in names that speak of it. While both were indexed as one
text, the letters that all keys begin with had to be read for every task first; so they would be
among the trigrams of keys alone, where no index has whole ones.
"""

from alembic import op

revision = "0025_search_by_column"
down_revision = "0024_rare_events"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("DROP INDEX tasks_search_idx")
    op.execute(
        "CREATE INDEX tasks_search_idx ON tasks USING gin"
        " (ticket_key gin_trgm_ops, name gin_trgm_ops)"
    )
    op.execute(
        "CREATE INDEX tasks_ticket_key_idx ON tasks (ticket_key) WHERE ticket_key IS NOT NULL"
    )


def downgrade() -> None:
    op.execute("DROP INDEX tasks_ticket_key_idx, tasks_search_idx")
    op.execute(
        "CREATE INDEX tasks_search_idx ON tasks"
        " USING gin ((coalesce(ticket_key, '') || ' ' || name) gin_trgm_ops)"
    )
