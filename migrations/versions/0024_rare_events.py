"""Events of a rare type are found without reading the log for them.

Most events are of three types, and the newest of those are near the end of the log, where one may
look for them. What is written for each change of the board is left out: its writing costs no more.
"""

from alembic import op

revision = "0024_rare_events"
down_revision = "0023_corrections_asked"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "CREATE INDEX outbox_rare_idx ON outbox (type, xid, id)"
        " WHERE type NOT IN ('TaskCreated', 'TaskAssigned', 'TaskCompleted')"
    )


def downgrade() -> None:
    op.execute("DROP INDEX outbox_rare_idx")
