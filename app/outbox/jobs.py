"""The relay as an RQ job: what the doorbell and the sweep enqueue."""

from __future__ import annotations

import time
from dataclasses import dataclass

import structlog

from app.kernel.errors import Stopped
from app.outbox import relay as log_relay
from app.outbox.doorbell import doorbell

log = structlog.get_logger(__name__)

# A consumer that failed is left alone by this process for a second, then two, four …
PAUSE_MAX_S = 60.0
# So long a job serves the others; the next goes on, and the worker's other jobs have their turn.
BESIDE_S = 2.0


@dataclass(slots=True)
class _Pace:
    """How a consumer beside the first is getting on in this process.

    How many events to try next; how often in a row it failed, until when it is left alone.
    """

    limit: int
    failures: int = 0
    until: float = float("-inf")

    def rest(self) -> None:
        self.until = time.monotonic() + min(PAUSE_MAX_S, 2.0**self.failures)
        self.failures += 1


_consumers: tuple[log_relay.Consumer, ...] = ()
_paces: dict[str, _Pace] = {}


def serve(consumers: tuple[log_relay.Consumer, ...]) -> None:
    """Set whom this process relays to, the one that must not wait first (at start)."""
    global _consumers  # noqa: PLW0603 - set once at start
    _consumers = consumers
    _paces.clear()


def consumer_named(name: str) -> log_relay.Consumer | None:
    """The consumer of this name that this process relays to."""
    return next((consumer for consumer in _consumers if consumer.name == name), None)


def relay() -> int:
    """Take the bell down, then deliver what waits to every consumer; returns the events read.

    The first consumer goes first: all of it before the others, and again after each batch of
    theirs. One of these that fails is logged and left alone for a while; the first never waits
    for it. During an emergency stop nothing is delivered; the sweep after it does.
    """
    doorbell().silence()
    first, *others = _consumers
    try:
        try:
            events = log_relay.drain(first).events
        finally:  # the others need nothing of the first, and go on when it fails
            events_beside = _deliver_beside(first, others)
    except Stopped as stop:
        log.info("relay_stopped", incident=stop.incident)
        return 0
    return events + events_beside


def _deliver_beside(first: log_relay.Consumer, others: list[log_relay.Consumer]) -> int:
    """Deliver to `others` a batch each in turn, while any has more; to `first` in between."""
    events = 0
    end_at = time.monotonic() + BESIDE_S
    while others:
        delivered = {consumer.name: _batch_of(consumer) for consumer in others}
        events += sum(count for count, _ in delivered.values())
        others = [other for other in others if delivered[other.name][1]]
        if time.monotonic() >= end_at:
            break
        if others:
            events += log_relay.drain(first, patience_s=0).events
    return events


def _batch_of(consumer: log_relay.Consumer) -> tuple[int, bool]:
    """Deliver one batch to `consumer`; returns how many events, and whether to go on with it."""
    pace = _paces.setdefault(consumer.name, _Pace(consumer.batch))
    if time.monotonic() < pace.until:
        return 0, False
    try:
        events, _parked = log_relay.deliver_batch(consumer, pace.limit)
    except Stopped:
        raise
    except log_relay.BatchRefused:
        pace.limit = log_relay.smaller(pace.limit)
        return 0, True
    except Exception:  # whatever is wrong with it must not reach the first
        pace.rest()
        log.exception("consumer_failed", consumer=consumer.name, failures=pace.failures)
        return 0, False
    is_full = events == pace.limit
    pace.limit, pace.failures = log_relay.larger(pace.limit, consumer.batch), 0
    return events, is_full
