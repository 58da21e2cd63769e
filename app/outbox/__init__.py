"""The transactional outbox: an append-only event log, a relay, and a cursor for each consumer."""

from app.outbox.doorbell import wake_relay
from app.outbox.emit import announce, emit, emit_from

__all__ = ["announce", "emit", "emit_from", "wake_relay"]
