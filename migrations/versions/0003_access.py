"""Sessions, API tokens, invitations, throttling, idempotency keys, and the audit log.

Secrets are kept as SHA-256 of 256 random bits: nothing here lets anyone in.
"""

from alembic import op

revision = "0003_access"
down_revision = "0002_users"
branch_labels = None
depends_on = None

# `number` names a session to its owner, who may end it; the id itself is never shown.
SESSIONS = """
CREATE TABLE sessions (
  id_hash bytea PRIMARY KEY CHECK (octet_length(id_hash) = 32),
  number bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
  user_id bigint NOT NULL REFERENCES users,
  created_at timestamptz NOT NULL DEFAULT now(),
  authenticated_at timestamptz NOT NULL DEFAULT now(),
  last_seen_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz NOT NULL,
  ip inet,
  user_agent text NOT NULL DEFAULT '' CHECK (length(user_agent) <= 300),
  CHECK (expires_at > created_at)
) WITH (fillfactor = 70);
CREATE INDEX sessions_user_id_idx ON sessions (user_id);
CREATE INDEX sessions_expires_at_idx ON sessions (expires_at);
GRANT SELECT, INSERT, UPDATE, DELETE ON sessions TO ates_app;
"""

# `scopes` are actions of the policy table that the token is limited to; NULL is all of its
# owner's role.
TOKENS = """
CREATE TABLE api_tokens (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  token_hash bytea NOT NULL UNIQUE CHECK (octet_length(token_hash) = 32),
  user_id bigint NOT NULL REFERENCES users,
  name text NOT NULL CHECK (length(name) BETWEEN 1 AND 80),
  scopes text[] CHECK (cardinality(scopes) BETWEEN 1 AND 50),
  created_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz NOT NULL,
  last_used_at timestamptz,
  revoked_at timestamptz,
  CHECK (expires_at > created_at)
) WITH (fillfactor = 70);
CREATE INDEX api_tokens_user_id_idx ON api_tokens (user_id);
GRANT SELECT, INSERT, DELETE, UPDATE (last_used_at, revoked_at) ON api_tokens TO ates_app;
"""

# One-time links: to become the first administrator, or to choose a new password.
INVITATIONS = """
CREATE TABLE invitations (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  token_hash bytea NOT NULL UNIQUE CHECK (octet_length(token_hash) = 32),
  purpose text NOT NULL CHECK (purpose IN ('first_administrator', 'password_reset')),
  user_id bigint REFERENCES users,
  created_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz NOT NULL,
  used_at timestamptz,
  CHECK ((purpose = 'first_administrator') = (user_id IS NULL)),
  CHECK (expires_at > created_at)
);
CREATE INDEX invitations_user_id_idx ON invitations (user_id);
GRANT SELECT, INSERT, DELETE, UPDATE (used_at) ON invitations TO ates_app;
"""

# Attempts in a window that begins with the first of them. `subject` is a hash: what people type
# as their login may be their password.
THROTTLE = """
CREATE TABLE throttle_counters (
  kind text NOT NULL CHECK (length(kind) BETWEEN 1 AND 40),
  subject bytea NOT NULL CHECK (octet_length(subject) = 32),
  hits integer NOT NULL CHECK (hits >= 0),
  ends_at timestamptz NOT NULL,
  PRIMARY KEY (kind, subject)
) WITH (fillfactor = 70);
CREATE INDEX throttle_counters_ends_at_idx ON throttle_counters (ends_at);
GRANT SELECT, INSERT, UPDATE, DELETE ON throttle_counters TO ates_app;
"""

IDEMPOTENCY = """
CREATE TABLE idempotency_keys (
  scope text NOT NULL CHECK (length(scope) BETWEEN 1 AND 80),
  key text NOT NULL CHECK (length(key) BETWEEN 1 AND 200),
  fingerprint bytea NOT NULL CHECK (octet_length(fingerprint) = 32),
  status smallint NOT NULL CHECK (status BETWEEN 200 AND 399),
  headers jsonb NOT NULL,
  body bytea NOT NULL CHECK (octet_length(body) <= 1048576),
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (scope, key)
);
CREATE INDEX idempotency_keys_created_at_idx ON idempotency_keys (created_at);
GRANT SELECT, INSERT, DELETE ON idempotency_keys TO ates_app;
"""

# VOLATILE, so that the row is looked for with a snapshot taken after the lock was: a row that
# the lock's last holder committed is always seen.
CLAIM = """
CREATE FUNCTION claim_idempotency_key(a_scope text, a_key text)
  RETURNS TABLE (is_free boolean, fingerprint bytea, status smallint, headers jsonb, body bytea)
  LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  is_free := pg_try_advisory_xact_lock(3, hashtext(a_scope || ' ' || a_key));
  IF is_free THEN
    SELECT i.fingerprint, i.status, i.headers, i.body
      INTO fingerprint, status, headers, body
      FROM idempotency_keys i WHERE i.scope = a_scope AND i.key = a_key;
  END IF;
  RETURN NEXT;
END $$
"""

AUDIT = """
CREATE TABLE audit_log (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at timestamptz NOT NULL DEFAULT now(),
  actor_id bigint REFERENCES users,
  action text NOT NULL CHECK (length(action) BETWEEN 1 AND 60),
  result text NOT NULL CHECK (result IN ('done', 'refused')),
  subject_id bigint REFERENCES users,
  ip inet,
  request_id text CHECK (length(request_id) <= 64),
  details jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX audit_log_at_idx ON audit_log (at);
CREATE INDEX audit_log_actor_id_idx ON audit_log (actor_id, id);
CREATE INDEX audit_log_subject_id_idx ON audit_log (subject_id, id);
CREATE TRIGGER audit_log_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
GRANT SELECT, INSERT ON audit_log TO ates_app;
"""

# So that /readyz can say whether the database is migrated.
VERSION = "GRANT SELECT ON alembic_version TO ates_app"

TABLES = (
    "audit_log",
    "idempotency_keys",
    "throttle_counters",
    "invitations",
    "api_tokens",
    "sessions",
)


def upgrade() -> None:
    for statement in (SESSIONS, TOKENS, INVITATIONS, THROTTLE, IDEMPOTENCY, CLAIM, AUDIT, VERSION):
        op.execute(statement)


def downgrade() -> None:
    op.execute("REVOKE SELECT ON alembic_version FROM ates_app")
    op.execute("DROP FUNCTION claim_idempotency_key(text, text)")
    for table in TABLES:
        op.execute(f"DROP TABLE {table}")
