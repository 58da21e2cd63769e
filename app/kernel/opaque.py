"""Opaque secrets: 256 random bits, of which the database holds a plain hash, which is enough."""

from __future__ import annotations

import hashlib
import secrets

SECRET_BYTES = 32


def new_secret() -> str:
    """256 random bits as text that fits a cookie, a header and an address."""
    return secrets.token_urlsafe(SECRET_BYTES)


def secret_hash(secret: str) -> bytes:
    """SHA-256 of the secret, as `sessions`, `api_tokens` and `invitations` hold it."""
    return hashlib.sha256(secret.encode()).digest()
