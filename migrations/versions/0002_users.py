"""People and services: roles, logins, addresses, password hashes."""

from alembic import op

revision = "0002_users"
down_revision = "0001_clock"
branch_labels = None
depends_on = None

ROLES = """
CREATE TYPE user_role AS ENUM
  ('administrator', 'manager', 'developer', 'boss', 'accountant', 'internalservice', 'other')
"""

# The seed's `salt` lives inside `hash`, a PHC string. A service has no password at all.
# Logins are ASCII, so that no two of them look alike.
USERS = r"""
CREATE TABLE users (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  role user_role NOT NULL,
  login text NOT NULL CHECK (login ~ '^[A-Za-z0-9][A-Za-z0-9._-]{1,39}$'),
  email text NOT NULL CHECK (length(email) <= 254 AND email ~ '^[!-?A-~]{1,64}@[0-9A-Za-z.-]+$'),
  hash text CHECK (length(hash) <= 255 AND hash LIKE '$argon2id$%'),
  is_active boolean NOT NULL DEFAULT true,
  is_assignable boolean NOT NULL GENERATED ALWAYS AS
    (is_active AND role IN ('boss', 'accountant', 'developer', 'other')) STORED,
  locale text CHECK (locale IN ('en', 'ru')),
  theme text CHECK (theme IN ('light', 'dark')),
  time_zone text CHECK (length(time_zone) BETWEEN 1 AND 64),
  created_at timestamptz NOT NULL DEFAULT business_now(),
  CONSTRAINT users_service_check CHECK ((role = 'internalservice') = (hash IS NULL))
);
CREATE UNIQUE INDEX users_login_key ON users (lower(login));
CREATE UNIQUE INDEX users_email_key ON users (lower(email));
CREATE INDEX users_assignable_idx ON users (id) WHERE is_assignable;
GRANT SELECT, INSERT, UPDATE (role, email, hash, is_active, locale, theme, time_zone)
  ON users TO ates_app;
"""


def upgrade() -> None:
    op.execute(ROLES)
    op.execute(USERS)


def downgrade() -> None:
    op.execute("DROP TABLE users")
    op.execute("DROP TYPE user_role")
