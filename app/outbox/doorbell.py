"""The doorbell: a hint in Redis that events wait. Losing it costs latency, never an event.

Ringing sets a key that lives two seconds and, if it was not set, enqueues one relay job. The job
deletes the key before it reads the log, so that whoever commits later rings again; what no bell
rang for is found by the sweep.

A thread of the process does it: whoever commits only wakes that thread, so a Redis that is slow,
stalled or away costs a request nothing, and commits that come together ring once.
"""

from __future__ import annotations

import atexit
import threading
import time

import structlog
from redis import Redis
from redis.exceptions import RedisError
from rq import Queue
from rq.serializers import JSONSerializer
from sqlalchemy.orm import Session

from app.kernel import redis_address
from app.kernel.db import after_commit

log = structlog.get_logger(__name__)

BELL = "ates:bell"
BELL_TTL_MS = 2_000
RELAY_QUEUE = "relay"
DEFAULT_QUEUE = "default"
RELAY_JOB = "app.outbox.jobs.relay"
TIMEOUT_S = 0.1
# After Redis failed, it is left alone for this long.
PAUSE_S = 1.0
SETTLE_S = 0.3


class Doorbell:
    """Rings through one Redis connection pool; every failure is logged and dropped."""

    def __init__(self, redis_url: str) -> None:
        self.redis: Redis = redis_address.connect(
            redis_url,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            retry=None,
        )
        self._queue = Queue(RELAY_QUEUE, connection=self.redis, serializer=JSONSerializer)
        self._wanted = threading.Event()
        self._idle = threading.Event()
        self._idle.set()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def ask(self) -> None:
        """Have the process's thread ring, soon; returns at once."""
        self._idle.clear()
        self._wanted.set()
        if self._thread is None or not self._thread.is_alive():
            self._start()

    def settle(self) -> None:
        """Wait a moment for what was asked to have rung (at exit)."""
        self._idle.wait(SETTLE_S)

    def ring(self) -> bool:
        """Make sure that a relay job is waiting. Returns whether this ring enqueued one."""
        try:
            if not self.redis.set(BELL, 1, nx=True, px=BELL_TTL_MS):
                return False
            self._queue.enqueue_call(RELAY_JOB, result_ttl=0, failure_ttl=60, timeout=300)
        except RedisError as error:
            log.warning("doorbell_not_rung", error=type(error).__name__)
            time.sleep(PAUSE_S)
            return False
        return True

    def _start(self) -> None:
        """Start the thread, once; a process that was forked has to start its own."""
        with self._starting:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._serve, name="doorbell", daemon=True)
                self._thread.start()

    def _serve(self) -> None:
        while True:
            self._wanted.wait()
            self._wanted.clear()
            self.ring()
            if not self._wanted.is_set():
                self._idle.set()

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
    if _doorbell is None:
        atexit.register(_settle)
    _doorbell = Doorbell(redis_url)
    return _doorbell


def doorbell() -> Doorbell:
    """This process's doorbell."""
    if _doorbell is None:
        raise RuntimeError("create_app() hangs the doorbell up")
    return _doorbell


def _settle() -> None:
    if _doorbell is not None:
        _doorbell.settle()


def _ask() -> None:
    doorbell().ask()


def wake_relay(session: Session) -> None:
    """Ring once after the transaction under way has committed."""
    after_commit(session, _ask)
