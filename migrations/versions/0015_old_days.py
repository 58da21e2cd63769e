"""What was owed at the end of each closed day, and indexes for pages about any day, however old."""

from alembic import op

revision = "0015_old_days"
down_revision = "0014_imports"
branch_labels = None
depends_on = None

COLUMNS = """
ALTER TABLE business_days ADD COLUMN debts bigint, ADD COLUMN debtors integer;
COMMENT ON COLUMN business_days.debts IS
  'the sum of the balances below zero at the day''s end; none is above zero when it is closed';
"""
# Each day of an account moves the sum by what lies below zero after it, less what did before it.
FILL = """
WITH ends AS (
  SELECT business_day, sum(delta) OVER (PARTITION BY account_id ORDER BY business_day) AS balance,
         delta
  FROM account_days
), moved AS (
  SELECT business_day, sum(least(balance, 0) - least(balance - delta, 0)) AS debts,
         sum((balance < 0)::int - (balance - delta < 0)::int) AS debtors
  FROM ends GROUP BY business_day
)
UPDATE business_days d SET
  debts = (SELECT coalesce(sum(m.debts), 0) FROM moved m WHERE m.business_day <= d.day),
  debtors = (SELECT coalesce(sum(m.debtors), 0) FROM moved m WHERE m.business_day <= d.day)
WHERE d.status = 'closed'
"""
CLOSED = """
ALTER TABLE business_days DROP CONSTRAINT business_days_closed_check;
ALTER TABLE business_days ADD CONSTRAINT business_days_closed_check CHECK (
  (status = 'closed') = (closed_at IS NOT NULL AND fees IS NOT NULL AND rewards IS NOT NULL
                         AND paid_total IS NOT NULL AND paid_count IS NOT NULL{more}));
"""
# Late transfers are rare. Rewards are found by their amount within a day, so that the highest of
# any period is one look a day. What a BRIN index has not summed up yet is read from end to end.
INDEXES = """
CREATE INDEX account_transfers_late_idx ON account_transfers (business_day) WHERE late;
CREATE INDEX account_transfers_reward_idx ON account_transfers (business_day, amount)
  WHERE kind = 'completion_reward' AND NOT late;
ALTER INDEX account_transfers_timestamp_idx SET (autosummarize = on);
ALTER INDEX logs_timestamp_idx SET (autosummarize = on);
"""


def upgrade() -> None:
    op.execute(COLUMNS)
    op.execute(FILL)
    op.execute(CLOSED.format(more=" AND debts IS NOT NULL AND debtors IS NOT NULL"))
    op.execute(INDEXES)


def downgrade() -> None:
    op.execute("DROP INDEX account_transfers_late_idx, account_transfers_reward_idx")
    op.execute("ALTER INDEX account_transfers_timestamp_idx RESET (autosummarize)")
    op.execute("ALTER INDEX logs_timestamp_idx RESET (autosummarize)")
    op.execute(CLOSED.format(more=""))
    op.execute("ALTER TABLE business_days DROP COLUMN debts, DROP COLUMN debtors")
