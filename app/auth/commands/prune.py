"""What has ended is deleted, so that the tables of the edge stay small."""

from __future__ import annotations

from sqlalchemy.orm import Session

from app.auth.rows import changed
from app.kernel.db import command, sql

STATEMENTS = {
    "sessions": sql("""
DELETE FROM sessions
WHERE expires_at < now() OR last_seen_at < now() - interval '12 hours'
"""),
    "api_tokens": sql("""
DELETE FROM api_tokens
WHERE least(expires_at, revoked_at) < now() - interval '90 days'
"""),
    "invitations": sql("DELETE FROM invitations WHERE expires_at < now() - interval '90 days'"),
    "throttle_counters": sql("DELETE FROM throttle_counters WHERE ends_at < now()"),
    "idempotency_keys": sql("""
DELETE FROM idempotency_keys WHERE created_at < now() - interval '24 hours'
"""),
}


@command
def prune_access(session: Session) -> dict[str, int]:
    """Delete ended sessions, tokens, links, counters and keys. Returns how many of each."""
    return {table: changed(session, delete, {}) for table, delete in STATEMENTS.items()}
