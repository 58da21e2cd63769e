"""The log's own transaction ids, and what keeps it in order on whichever server it is loaded.

The log and the ledger are read in the order of transaction ids, which begin anew on another
server. `log_xid()` turns a server's id into the log's: the same number, until `bin/ates outbox
rebase` adds what the log is ahead by. Its body is one expression, which the planner puts in its
place, so that it costs nothing.
"""

from alembic import op

revision = "0018_log_order"
down_revision = "0017_notifications"
branch_labels = None
depends_on = None

LOG_XID = """
CREATE FUNCTION log_xid(server xid8) RETURNS xid8
  LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE RETURN server;
COMMENT ON FUNCTION log_xid(xid8) IS
  'a transaction id of this server as the log counts it; bin/ates outbox rebase replaces it';
ALTER TABLE outbox ALTER COLUMN xid SET DEFAULT log_xid(pg_current_xact_id());
ALTER TABLE account_transfers ALTER COLUMN xid SET DEFAULT log_xid(pg_current_xact_id());
ALTER TABLE reassignments ALTER COLUMN xid SET DEFAULT log_xid(pg_current_xact_id());
"""

# What lies up to a cursor has been read, and what lies up to the last seal is sealed: neither is
# beyond the oldest running transaction, so no writer is ever behind them, unless its server is not
# the log's. (In the same transaction ids decide, and they only grow.) Such an event would never be
# read, and such a transfer break the chain.
# It answers as the fence of migration 0008 does. Names are qualified: a temporary table must not
# stand in for the cursors.
ORDER = """
CREATE FUNCTION refuse_behind_the_log() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  passed xid8;
BEGIN
  IF TG_TABLE_NAME = 'outbox' THEN
    SELECT pg_catalog.max(c.xid) INTO passed FROM public.outbox_cursors c;
  ELSE
    SELECT b.last_xid INTO passed FROM public.ledger_blocks b ORDER BY b.id DESC LIMIT 1;
  END IF;
  IF public.log_xid(pg_catalog.pg_current_xact_id()) < passed THEN
    RAISE EXCEPTION 'the log is ahead of this server' USING ERRCODE = '57ST0',
      DETAIL = '{"incident": "REBASE", "reason": "the log is ahead of this server: an administrator has to run bin/ates outbox rebase"}';
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER outbox_order BEFORE INSERT ON outbox
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_behind_the_log();
CREATE TRIGGER account_transfers_order BEFORE INSERT ON account_transfers
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_behind_the_log();
"""

# A log that was rebased holds ids that this server has yet to give: without `log_xid()` the relay
# would step over what is written next.
NEVER_REBASED = """
DO $$
BEGIN
  IF log_xid('0') <> '0' THEN
    RAISE EXCEPTION 'the log was rebased, which the version before this one does not know';
  END IF;
END $$
"""


def upgrade() -> None:
    op.execute(LOG_XID)
    op.execute(ORDER)


def downgrade() -> None:
    op.execute(NEVER_REBASED)
    op.execute("DROP TRIGGER account_transfers_order ON account_transfers")
    op.execute("DROP TRIGGER outbox_order ON outbox")
    op.execute("DROP FUNCTION refuse_behind_the_log()")
    for table in ("outbox", "account_transfers", "reassignments"):
        op.execute(f"ALTER TABLE {table} ALTER COLUMN xid SET DEFAULT pg_current_xact_id()")
    op.execute("DROP FUNCTION log_xid(xid8)")
