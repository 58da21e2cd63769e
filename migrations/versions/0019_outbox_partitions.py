"""The event log in partitions by ranges of transaction ids, so that old ones can be archived.

See docs/decisions/0009. `outbox_partitions` lists every range that the log has or had; the events
of one with `archived_at` are in the file that its row names.
"""

from alembic import op

revision = "0019_outbox_partitions"
down_revision = "0018_log_order"
branch_labels = None
depends_on = None

REGISTRY = """
CREATE TABLE outbox_partitions (
  xid_from xid8 PRIMARY KEY,
  xid_to xid8 NOT NULL,
  name text NOT NULL,
  made_at timestamptz NOT NULL DEFAULT now(),
  archived_at timestamptz,
  file text,
  file_sha256 bytea,
  content_sha256 bytea,
  events bigint,
  board_events bigint,
  first_at timestamptz,
  last_at timestamptz,
  CONSTRAINT outbox_partitions_xid_to_key UNIQUE (xid_to),
  CONSTRAINT outbox_partitions_name_key UNIQUE (name),
  CONSTRAINT outbox_partitions_range_check CHECK (xid_from < xid_to),
  CONSTRAINT outbox_partitions_archived_check CHECK (
    num_nonnulls(archived_at, file, file_sha256, content_sha256, events, board_events) IN (0, 6)),
  CONSTRAINT outbox_partitions_sha256_check CHECK (
    octet_length(file_sha256) = 32 AND octet_length(content_sha256) = 32)
);
COMMENT ON TABLE outbox_partitions IS
  'the ranges of the event log, the last one excluded: in the partition `name`, or in an archive';
COMMENT ON COLUMN outbox_partitions.board_events IS
  'events of an archive that an entry of `logs` names: so many entries have no event in the log';
COMMENT ON COLUMN outbox_partitions.first_at IS
  'when the oldest event of an archive occurred; last_at: the newest';
GRANT SELECT ON outbox_partitions TO ates_app;
"""

# What LIKE does not copy. A statement trigger fires for the table that the statement names, so
# each partition has its own; and the application reaches partitions through the log alone.
PROTECT = """
CREATE FUNCTION protect_outbox_partition(partition regclass) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('CREATE TRIGGER outbox_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON %s'
    ' FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change()', partition);
  EXECUTE format('CREATE TRIGGER outbox_fence BEFORE INSERT OR UPDATE OR DELETE ON %s'
    ' FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_when_stopped()', partition);
  EXECUTE format('REVOKE ALL ON %s FROM PUBLIC, ates_app', partition);
END $$;
REVOKE ALL ON FUNCTION protect_outbox_partition(regclass) FROM PUBLIC;
"""

# The next range is made when the newest begins to be used, so a whole one is always ahead. It is
# twice as wide when the one before was used up within 30 days: whatever a company's pace, the log
# has about a partition a month. What is written past every range, because this did not run for
# long, lies in `outbox_default`: that becomes the range that was missing, and a new one is made.
# Runs as the owner, for the schedule; whoever calls it can make what is due and nothing else. It
# gives up rather than have everybody queue behind it.
MAKE = """
CREATE FUNCTION make_outbox_partition() RETURNS text LANGUAGE plpgsql
  SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '500ms' AS $$
DECLARE
  newest public.outbox_partitions;
  here bigint := public.log_xid(pg_snapshot_xmax(pg_current_snapshot()))::text::bigint;
  begins bigint;
  width bigint;
  next_name text;
BEGIN
  IF NOT pg_try_advisory_xact_lock(6) THEN
    RETURN NULL;
  END IF;
  SELECT * INTO newest FROM public.outbox_partitions ORDER BY xid_from DESC LIMIT 1;
  IF here < newest.xid_from::text::bigint THEN
    RETURN NULL;
  END IF;
  width := newest.xid_to::text::bigint - newest.xid_from::text::bigint;
  IF newest.made_at > now() - interval '30 days' THEN
    width := least(width * 2, 10000000000);
  END IF;
  begins := newest.xid_to::text::bigint;
  IF here >= begins THEN
    begins := here + 1000000;
    next_name := 'outbox_' || newest.xid_to;
    ALTER TABLE public.outbox DETACH PARTITION public.outbox_default;
    EXECUTE format('ALTER TABLE public.outbox_default RENAME TO %I', next_name);
    EXECUTE format('ALTER TABLE public.outbox ATTACH PARTITION public.%I'
      ' FOR VALUES FROM (%L) TO (%L)', next_name, newest.xid_to, begins);
    INSERT INTO public.outbox_partitions (xid_from, xid_to, name)
      VALUES (newest.xid_to, begins::text::xid8, next_name);
    CREATE TABLE public.outbox_default PARTITION OF public.outbox DEFAULT;
    PERFORM public.protect_outbox_partition('public.outbox_default');
  END IF;
  next_name := 'outbox_' || begins;
  EXECUTE format('CREATE TABLE public.%I (LIKE public.outbox INCLUDING DEFAULTS'
    ' INCLUDING CONSTRAINTS)', next_name);
  PERFORM public.protect_outbox_partition(format('public.%I', next_name)::regclass);
  EXECUTE format('ALTER TABLE public.outbox ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
    next_name, begins, begins + width);
  INSERT INTO public.outbox_partitions (xid_from, xid_to, name)
    VALUES (begins::text::xid8, (begins + width)::text::xid8, next_name);
  RETURN next_name;
END $$;
REVOKE ALL ON FUNCTION make_outbox_partition() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION make_outbox_partition() TO ates_app;
"""

# What the table of the log has in either shape: its keys, its ids, who may write, what is refused.
KEYS_AND_GUARDS = """
  ALTER TABLE outbox ADD CONSTRAINT outbox_pkey PRIMARY KEY (xid, id);
  ALTER TABLE outbox ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY;
  PERFORM setval('outbox_id_seq', next_id, is_called);
  CREATE INDEX outbox_event_id_idx ON outbox (event_id);
  CREATE INDEX outbox_task_id_idx ON outbox (task_id) WHERE task_id IS NOT NULL;
  GRANT SELECT, INSERT ON outbox TO ates_app;
  CREATE TRIGGER outbox_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON outbox
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
  CREATE TRIGGER outbox_fence BEFORE INSERT OR UPDATE OR DELETE ON outbox
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_when_stopped();
  CREATE TRIGGER outbox_order BEFORE INSERT ON outbox
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_behind_the_log();
"""

# The table that there is becomes the first partition: no row is copied.
DIVIDE = (
    """
DO $$
DECLARE
  next_id bigint;
  is_called boolean;
  width CONSTANT bigint := 10000000;
  begins bigint;
BEGIN
  LOCK TABLE outbox;
  SELECT last_value, s.is_called INTO next_id, is_called FROM outbox_id_seq s;
  DROP TRIGGER outbox_order ON outbox;
  ALTER TABLE outbox ALTER COLUMN id DROP IDENTITY;
  ALTER TABLE outbox RENAME TO outbox_0;
  ALTER TABLE outbox_0 RENAME CONSTRAINT outbox_pkey TO outbox_0_pkey;
  ALTER INDEX outbox_event_id_idx RENAME TO outbox_0_event_id_idx;
  ALTER INDEX outbox_task_id_idx RENAME TO outbox_0_task_id_idx;
  REVOKE ALL ON outbox_0 FROM ates_app;
  CREATE TABLE outbox (LIKE outbox_0 INCLUDING DEFAULTS INCLUDING COMMENTS)
    PARTITION BY RANGE (xid);
  COMMENT ON TABLE outbox IS 'one row per event, written by the transaction that made the change';
"""
    + KEYS_AND_GUARDS
    + """  begins := (greatest(log_xid(pg_snapshot_xmax(pg_current_snapshot()))::text::bigint,
    (SELECT coalesce(max(xid), '0')::text::bigint FROM outbox_0)) / width + 1) * width;
  EXECUTE format('ALTER TABLE outbox ATTACH PARTITION outbox_0 FOR VALUES FROM (''0'') TO (%L)', begins);
  CREATE TABLE outbox_default PARTITION OF outbox DEFAULT;
  PERFORM protect_outbox_partition('outbox_default');
  EXECUTE format('CREATE TABLE %I PARTITION OF outbox FOR VALUES FROM (%L) TO (%L)',
    'outbox_' || begins, begins, begins + width);
  PERFORM protect_outbox_partition(('outbox_' || begins)::regclass);
  INSERT INTO outbox_partitions (xid_from, xid_to, name) VALUES
    ('0', begins::text::xid8, 'outbox_0'),
    (begins::text::xid8, (begins + width)::text::xid8, 'outbox_' || begins);
END $$
"""
)

# The rows go back into one table, in order. What is archived would be forgotten.
UNITE = (
    """
DO $$
DECLARE
  next_id bigint;
  is_called boolean;
BEGIN
  LOCK TABLE outbox;
  IF EXISTS (SELECT FROM outbox_partitions WHERE archived_at IS NOT NULL) THEN
    RAISE EXCEPTION 'a part of the log is archived, which the version before this one does not know';
  END IF;
  SELECT last_value, s.is_called INTO next_id, is_called FROM outbox_id_seq s;
  ALTER TABLE outbox RENAME TO outbox_parts;
  ALTER TABLE outbox_parts ALTER COLUMN id DROP IDENTITY;
  ALTER TABLE outbox_parts RENAME CONSTRAINT outbox_pkey TO outbox_parts_pkey;
  ALTER INDEX outbox_event_id_idx RENAME TO outbox_parts_event_id_idx;
  ALTER INDEX outbox_task_id_idx RENAME TO outbox_parts_task_id_idx;
  CREATE TABLE outbox (LIKE outbox_parts INCLUDING DEFAULTS INCLUDING COMMENTS);
  COMMENT ON TABLE outbox IS 'one row per event, written by the transaction that made the change';
  INSERT INTO outbox SELECT * FROM outbox_parts ORDER BY xid, id;
  DROP TABLE outbox_parts;
"""
    + KEYS_AND_GUARDS
    + """END $$
"""
)


def upgrade() -> None:
    for statements in (REGISTRY, PROTECT, DIVIDE, MAKE):
        op.execute(statements)


def downgrade() -> None:
    op.execute("DROP FUNCTION make_outbox_partition()")
    op.execute(UNITE)
    op.execute("DROP FUNCTION protect_outbox_partition(regclass)")
    op.execute("DROP TABLE outbox_partitions")
