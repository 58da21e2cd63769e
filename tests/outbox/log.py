"""A log whose transaction ids run ahead, as after years, so that its partitions are used up."""

from __future__ import annotations

from typing import Any

import psycopg

LOG_XID = """
CREATE OR REPLACE FUNCTION log_xid(server xid8) RETURNS xid8
  LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE RETURN (server::text::bigint + {ahead})::text::xid8
"""


def run_ahead(owner: psycopg.Connection[Any], transactions: int) -> None:
    """Let the log count `transactions` more than the server has."""
    owner.execute(LOG_XID.format(ahead=transactions))
