"""What happens by the clock: the whole schedule on one page.

rq-scheduler may lose a tick or run it twice, and keeps its jobs where they can be lost. So every
job has a fixed id and is registered again every few seconds; and each job claims its tick in
PostgreSQL, which lets one run of it through.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from flask import Flask, current_app
from redis import Redis
from redis.exceptions import RedisError
from rq.job import Job
from rq.serializers import JSONSerializer
from rq_scheduler import Scheduler
from sqlalchemy.orm import Session

from app.accounting import commands as accounting
from app.auth.actors import service_actor
from app.auth.commands import prune_access
from app.guardian.jobs import guard, guard_whole
from app.kernel import redis_address, settings
from app.kernel.db import command, sql
from app.kernel.errors import Conflict, Stopped
from app.notifications.commands import forget_old, queue_digests
from app.outbox import archive, dead_letters
from app.outbox.doorbell import DEFAULT_QUEUE, RELAY_QUEUE
from app.outbox.jobs import relay
from app.outbox.partitions import make_ahead
from app.payments.commands import send_due_mail
from app.tasks import commands as tasks

log = structlog.get_logger(__name__)

REGISTER_EVERY_S = 5
POLL_EVERY_S = 1
PAYMENT_SERVICE = "payment-service"
_threads: dict[str, threading.Thread] = {}

# Lets one run of a job through for each interval of the database's clock.
CLAIM_TICK = sql("""
INSERT INTO schedule_ticks (name, tick)
VALUES (:name, date_bin(make_interval(secs => :every_s), now(), timestamptz '2000-01-01 00:00+00'))
ON CONFLICT DO NOTHING
""")
FORGET_TICKS = sql("DELETE FROM schedule_ticks WHERE tick < now() - interval '7 days'")


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A job of the schedule: a function of this module, how often it is due, and its queue."""

    name: str
    every_s: int
    work: Callable[[], object]
    queue: str = DEFAULT_QUEUE


def sweep() -> int:
    """Relay what no bell rang for. Needs no claim: the cursor's lock lets one relay through."""
    return relay()


def close_days() -> None:
    """The Payment Service: close the business days that have ended."""
    try:
        accounting.pay_to_workers(service_actor(PAYMENT_SERVICE))
    except Conflict as conflict:
        log.info("days_not_closed_yet", reason=conflict.message)


def go_on_closing() -> None:
    """Go on with a closing that a page began, beside the worker's other jobs."""
    _beside("closing", accounting.go_on_closing)


def send_mail() -> None:
    """Send the mail that is due, beside the worker's other jobs: a mail server may be slow."""
    _beside("mail", send_due_mail)


def make_exports() -> None:
    """Make the files that were asked for, beside the worker's other jobs."""
    _beside("exports", accounting.make_exports)


def seal_ledger() -> None:
    """Seal what was posted, and closed days whose transfers were hidden when they were closed."""
    _beside("seal", accounting.seal_ledger)


def retry_dead_letters() -> int:
    """Deliver again the dead letters whose time has come."""
    from app.subscriptions import CONSUMERS

    return sum(dead_letters.retry_due(consumer) for consumer in CONSUMERS)


def archive_log() -> None:
    """Archive what is old of the event log, where OUTBOX_ARCHIVE_DIR says so; beside the relay."""
    from app.subscriptions import CONSUMERS

    chosen, names = settings.current(), [consumer.name for consumer in CONSUMERS]
    if chosen.outbox_archive_dir is not None:
        _beside("archive", lambda: archive.archive_old(chosen, names))


def watch() -> None:
    """A round of the guardian, beside the relay."""
    _beside("guard", guard)


def watch_everything() -> None:
    """The guardian's next check of everything, at night, beside the relay."""
    _beside("guard whole", guard_whole)


def prune_expired() -> None:
    """Forget expired sessions, tokens, keys, uploads and ticks, and old notifications."""
    prune_access()
    tasks.prune_uploads()
    _forget_ticks()
    forget_old()


SCHEDULE: tuple[Scheduled, ...] = (
    Scheduled("sweep", 2, sweep, RELAY_QUEUE),
    Scheduled("send_mail", 5, send_mail),
    Scheduled("queue_digests", 300, queue_digests),
    Scheduled("close_days", 60, close_days),
    Scheduled("go_on_closing", 2, go_on_closing),
    Scheduled("make_exports", 2, make_exports),
    Scheduled("seal_ledger", 60, seal_ledger),
    Scheduled("retry_dead_letters", 60, retry_dead_letters),
    Scheduled("make_ahead", 60, make_ahead),
    Scheduled("archive_log", 3600, archive_log),
    Scheduled("watch", 5, watch),
    Scheduled("watch_everything", 10, watch_everything),
    Scheduled("prune_expired", 3600, prune_expired),
)


def _beside(name: str, work: Callable[[], object]) -> None:
    """Run `work` in a thread of its own, unless the last one under this name still runs.

    The worker's other jobs, and so the relay, go on meanwhile. The thread ends with the process:
    what it had leased is taken up again when the lease is over.
    """
    running = _threads.get(name)
    if running is not None and running.is_alive():
        return
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001

    def run() -> None:
        with app.app_context():
            try:
                work()
            except Stopped as stop:
                log.info("job_stopped", job=name, incident=stop.incident)
            except Exception:  # nobody waits for the thread's answer
                log.exception("work_beside_failed", work=name)

    _threads[name] = threading.Thread(target=run, name=name, daemon=True)
    _threads[name].start()


def tick(name: str) -> None:
    """Run the scheduled job `name`, unless another run of it has this tick (an RQ job).

    What changes something waits for the end of an emergency stop.
    """
    job = next(scheduled for scheduled in SCHEDULE if scheduled.name == name)
    if job.work is sweep or _claim(job.name, job.every_s):
        try:
            job.work()
        except Stopped as stop:
            log.info("job_stopped", job=name, incident=stop.incident)


@command
def _claim(session: Session, name: str, every_s: int) -> bool:
    claimed = session.execute(CLAIM_TICK, {"name": name, "every_s": every_s})
    return bool(claimed.rowcount)  # type: ignore[attr-defined]


@command
def _forget_ticks(session: Session) -> None:
    session.execute(FORGET_TICKS)


class _JsonJob(Job):
    """rq-scheduler makes and reads its jobs without a serializer; ours are JSON, never pickle."""

    def __init__(
        self,
        id: str | None = None,  # noqa: A002 - RQ passes it by this name
        connection: Redis | None = None,
        serializer: object = None,
    ) -> None:
        super().__init__(id, connection, serializer or JSONSerializer)


class _Clock(Scheduler):  # type: ignore[misc]  # rq-scheduler has no types
    """rq-scheduler that registers its jobs again and again, in case Redis has lost them."""

    schedule_: tuple[Scheduled, ...] = ()
    registered_at = float("-inf")

    def enqueue_jobs(self) -> object:
        if time.monotonic() - self.registered_at >= REGISTER_EVERY_S:
            self.register()
        return super().enqueue_jobs()

    def register(self) -> None:
        known = {job.id for job in self.get_jobs()}
        for job in self.schedule_:
            if f"ates-{job.name}" not in known:
                self.schedule(
                    datetime.now(UTC).replace(tzinfo=None),
                    "app.schedules.tick",
                    args=[job.name],
                    interval=job.every_s,
                    result_ttl=0,
                    id=f"ates-{job.name}",
                    queue_name=job.queue,
                    timeout=300,
                )
        self.registered_at = time.monotonic()


def run(redis_url: str, schedule: tuple[Scheduled, ...]) -> None:
    """Put due jobs on the queue until a signal ends the process; a lost Redis is waited for."""
    while True:
        clock = _Clock(
            connection=redis_address.connect(redis_url, socket_timeout=5, socket_connect_timeout=1),
            interval=POLL_EVERY_S,
            job_class=_JsonJob,
        )
        clock.schedule_ = schedule
        try:
            clock.run()
        except RedisError as error:
            log.warning("redis_is_away", error=type(error).__name__)
            time.sleep(POLL_EVERY_S)
