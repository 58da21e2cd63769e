"""The relay as an RQ job: what the doorbell and the sweep enqueue."""

from __future__ import annotations

from app.outbox import relay as log_relay
from app.outbox.doorbell import doorbell

_consumers: tuple[log_relay.Consumer, ...] = ()


def serve(consumers: tuple[log_relay.Consumer, ...]) -> None:
    """Set whom this process relays to (at start; see app.subscriptions)."""
    global _consumers  # noqa: PLW0603 - set once at start
    _consumers = consumers


def relay() -> int:
    """Take the bell down, then deliver what waits to every consumer; returns the events read."""
    doorbell().silence()
    return sum(log_relay.drain(consumer).events for consumer in _consumers)
