"""The relay as an RQ job: what the doorbell and the sweep enqueue."""

from __future__ import annotations

import structlog

from app.kernel.errors import Stopped
from app.outbox import relay as log_relay
from app.outbox.doorbell import doorbell

log = structlog.get_logger(__name__)

_consumers: tuple[log_relay.Consumer, ...] = ()


def serve(consumers: tuple[log_relay.Consumer, ...]) -> None:
    """Set whom this process relays to (at start; see app.subscriptions)."""
    global _consumers  # noqa: PLW0603 - set once at start
    _consumers = consumers


def consumer_named(name: str) -> log_relay.Consumer | None:
    """The consumer of this name that this process relays to."""
    return next((consumer for consumer in _consumers if consumer.name == name), None)


def relay() -> int:
    """Take the bell down, then deliver what waits to every consumer; returns the events read.

    During an emergency stop nothing is delivered; the sweep after it does.
    """
    doorbell().silence()
    try:
        return sum(log_relay.drain(consumer).events for consumer in _consumers)
    except Stopped as stop:
        log.info("relay_stopped", incident=stop.incident)
        return 0
