"""How often one may try: counters in PostgreSQL, for each account and for each address.

An attempt is counted in a transaction of its own before it is looked at, so that parallel guesses
are bounded too. A window ends by itself: nobody is locked out for good.
"""

from __future__ import annotations

import hashlib
import ipaddress
from dataclasses import dataclass

from sqlalchemy.orm import Session

from app.kernel import audit
from app.kernel.db import command, sql
from app.kernel.errors import TooManyRequests

IPV6_NETWORK_BITS = 64


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `hits` attempts of a kind within `window_s` of the first."""

    kind: str
    hits: int
    window_s: int


SIGN_IN_ACCOUNT = Limit("sign_in_account", 10, 15 * 60)
SIGN_IN_ADDRESS = Limit("sign_in_address", 100, 15 * 60)
REGISTER_ADDRESS = Limit("register_address", 20, 60 * 60)
INVITATION_ADDRESS = Limit("invitation_address", 20, 15 * 60)

# Counts one attempt: the first of a window, or one more of it.
COUNT = sql("""
INSERT INTO throttle_counters AS t (kind, subject, hits, ends_at)
VALUES (:kind, :subject, 1, now() + :window_s * interval '1 second')
ON CONFLICT (kind, subject) DO UPDATE SET
  hits = CASE WHEN t.ends_at <= now() THEN 1 ELSE t.hits + 1 END,
  ends_at = CASE WHEN t.ends_at <= now() THEN excluded.ends_at ELSE t.ends_at END
RETURNING hits, ceil(extract(epoch FROM ends_at - now()))::int AS left_s
""")
# Takes back what was counted for an attempt that turned out to be right.
FORGET = sql("DELETE FROM throttle_counters WHERE kind = :kind AND subject = :subject")
UNCOUNT = sql("""
UPDATE throttle_counters SET hits = hits - 1
WHERE kind = :kind AND subject = :subject AND hits > 0
""")


@command
def count_sign_in(session: Session, login: str) -> int | None:
    """Count an attempt to sign in as `login`. Returns the seconds to wait when it is too many."""
    by_address = _count(session, SIGN_IN_ADDRESS, _address())
    by_account = _count(session, SIGN_IN_ACCOUNT, login.casefold())
    return max((wait for wait in (by_address, by_account) if wait is not None), default=None)


@command
def count_attempt(session: Session, limit: Limit) -> int | None:
    """Count an attempt of the address. Returns the seconds to wait when it is too many."""
    return _count(session, limit, _address())


def allow(wait_s: int | None) -> None:
    """Raise TooManyRequests when there is a time to wait."""
    if wait_s is not None:
        raise TooManyRequests("Too many attempts. Try again later", retry_after_s=wait_s)


def forgive_sign_in(session: Session, login: str) -> None:
    """Forget the account's failed attempts, and this one of its address."""
    session.execute(FORGET, _key(SIGN_IN_ACCOUNT, login.casefold()))
    session.execute(UNCOUNT, _key(SIGN_IN_ADDRESS, _address()))


def _count(session: Session, limit: Limit, subject: str) -> int | None:
    row = session.execute(COUNT, {**_key(limit, subject), "window_s": limit.window_s}).one()
    if row.hits <= limit.hits:
        return None
    if row.hits == limit.hits + 1:  # once a window: the log must not grow with the attack
        details = {"limit": limit.kind}
        audit.record(session, "throttle", actor_id=None, result="refused", details=details)
    left_s: int = row.left_s
    return max(1, left_s)


def _key(limit: Limit, subject: str) -> dict[str, str | bytes]:
    digest = hashlib.sha256(f"{limit.kind} {subject}".encode()).digest()
    return {"kind": limit.kind, "subject": digest}


def _address() -> str:
    """The client's address; of IPv6 its network, since one client has all of that."""
    ip = audit.origin.get().ip
    if ip is None:
        return "nowhere"
    address = ipaddress.ip_address(ip)
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, IPV6_NETWORK_BITS), strict=False))
    return str(address)
