"""What the board needs to be as quick with a million tasks as with a thousand."""

from alembic import op

revision = "0012_board"
down_revision = "0011_shortcuts"
branch_labels = None
depends_on = None

INDEXES = {
    # Everything of one person, newest first, and how many that is.
    "tasks_assigned_to_idx": "(assigned_to, id)",
    # The finished ones while most are open, as after an import.
    "tasks_finished_idx": "(id) WHERE is_finished",
}


def upgrade() -> None:
    for name, columns in INDEXES.items():
        op.execute(f"CREATE INDEX {name} ON tasks {columns}")


def downgrade() -> None:
    for name in INDEXES:
        op.execute(f"DROP INDEX {name}")
