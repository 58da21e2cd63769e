"""The application's role, the business clock, and the trigger that refuses changes."""

from alembic import op

revision = "0001_clock"
down_revision = None
branch_labels = None
depends_on = None

ROLE = """
DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'ates_app') THEN
    CREATE ROLE ates_app NOLOGIN;
  END IF;
  -- SET, to be it; USAGE, that is to inherit it, to see when its transactions began.
  IF NOT (pg_has_role(current_user, 'ates_app', 'SET')
          AND pg_has_role(current_user, 'ates_app', 'USAGE')) THEN
    EXECUTE format('GRANT ates_app TO %I WITH INHERIT TRUE, SET TRUE', current_user);
  END IF;
EXCEPTION WHEN insufficient_privilege OR invalid_grant_operation THEN
  RAISE EXCEPTION 'role ates_app is missing or may not be taken by %: as a superuser run '
    'CREATE ROLE ates_app NOLOGIN; GRANT ates_app TO % WITH INHERIT TRUE, SET TRUE',
    current_user, quote_ident(current_user);
END $$
"""

CLOCK = """
CREATE TABLE business_clock (
  only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  shift interval NOT NULL DEFAULT interval '0'
);
INSERT INTO business_clock DEFAULT VALUES;
CREATE FUNCTION business_now() RETURNS timestamptz
  LANGUAGE sql STABLE PARALLEL SAFE
  RETURN now() + (SELECT shift FROM business_clock);
GRANT USAGE ON SCHEMA public TO ates_app;
GRANT SELECT, UPDATE (shift) ON business_clock TO ates_app;
"""

# A statement trigger, so that even an UPDATE of no row is refused; its owner could disable it,
# the application's role cannot.
APPEND_ONLY = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% of % is refused: it is append-only', TG_OP, TG_TABLE_NAME
    USING ERRCODE = 'integrity_constraint_violation';
END $$
"""


def upgrade() -> None:
    op.execute(ROLE)
    op.execute(CLOCK)
    op.execute(APPEND_ONLY)


def downgrade() -> None:
    # The role stays: it belongs to the cluster, where other databases may use it.
    op.execute("DROP FUNCTION refuse_change()")
    op.execute("DROP FUNCTION business_now()")
    op.execute("DROP TABLE business_clock")
    op.execute("REVOKE USAGE ON SCHEMA public FROM ates_app")
