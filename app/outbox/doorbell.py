"""The doorbell: a hint in Redis that events wait. Losing it costs latency, never an event.

Ringing sets a key that lives two seconds and, if it was not set, enqueues one relay job. The job
deletes the key before it reads the log, so that whoever commits later rings again; what no bell
rang for is found by the sweep.
"""

from __future__ import annotations

import time
from typing import Any

import structlog
from redis import Redis
from redis.exceptions import RedisError
from rq import Queue
from rq.serializers import JSONSerializer
from sqlalchemy.orm import Session

from app.kernel.db import after_commit

log = structlog.get_logger(__name__)

BELL = "ates:bell"
BELL_TTL_MS = 2_000
RELAY_QUEUE = "relay"
DEFAULT_QUEUE = "default"
RELAY_JOB = "app.outbox.jobs.relay"
TIMEOUT_S = 0.1
# After Redis failed, nobody waits for it again for this long: a stalled server costs one request
# of each process its 100 ms, not all of them.
PAUSE_S = 1.0


class Doorbell:
    """Rings through one Redis connection pool; every failure is logged and dropped."""

    def __init__(self, redis_url: str) -> None:
        self.redis: Redis = Redis.from_url(
            redis_url,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            retry=None,
        )
        self._queue = Queue(RELAY_QUEUE, connection=self.redis, serializer=JSONSerializer)
        self._paused_until = 0.0

    def ring(self) -> bool:
        """Make sure that a relay job is waiting. Returns whether this ring enqueued one."""
        if time.monotonic() < self._paused_until:
            return False
        try:
            if not self.redis.set(BELL, 1, nx=True, px=BELL_TTL_MS):
                return False
            self._queue.enqueue_call(RELAY_JOB, result_ttl=0, failure_ttl=60, timeout=300)
        except RedisError as error:
            self._paused_until = time.monotonic() + PAUSE_S
            log.warning("doorbell_not_rung", error=type(error).__name__)
            return False
        return True

    def silence(self) -> None:
        """Take the bell down, before the log is read."""
        try:
            self.redis.delete(BELL)
        except RedisError as error:
            log.warning("doorbell_not_silenced", error=type(error).__name__)


_doorbell: Doorbell | None = None


def hang(redis_url: str) -> Doorbell:
    """Hang up this process's doorbell (at start)."""
    global _doorbell  # noqa: PLW0603 - one connection pool a process, set once at start
    _doorbell = Doorbell(redis_url)
    return _doorbell


def doorbell() -> Doorbell:
    """This process's doorbell."""
    if _doorbell is None:
        raise RuntimeError("create_app() hangs the doorbell up")
    return _doorbell


def _ring() -> Any:
    return doorbell().ring()


def wake_relay(session: Session) -> None:
    """Ring once after the transaction under way has committed."""
    after_commit(session, _ring)
