"""Rows 16, 17 and 18: three schedulers, clocks that jump, days of 23 and 25 hours."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import psycopg

from app.accounting import commands as accounting
from app.accounting.commands import closing, posting
from app.accounting.consumer import CONSUMER
from app.kernel import clock
from app.kernel.actor import Actor
from app.kernel.db import in_transaction, sql
from app.kernel.policy import Role
from app.outbox import relay
from app.tasks.commands import create_tasks
from app.tasks.models import Draft
from tests.faults.storm import Stage, storm
from tests.faults.system import SCHEDULER_LOCK, System
from tests.faults.verdict import Outcome
from tests.oracle import findings

ROOT = Path(__file__).parents[2]
QUEUE = "rq:queue:default"
JUMPS = ("-1d", "-1h", "+1h", "+1d")
ZONE = "America/New_York"
# The days of 2026 on which its clocks are put forward and back.
DAYS = {date(2026, 3, 8): 23, date(2026, 11, 1): 25}
# What the log, the ledger and the days were given that does not lie within what the database saw.
# Its end is looked at after a row was read: a request that nobody waits for may still go on. The
# schedule may close the day before, in which nothing happened.
MISDATED = """
SELECT 'event', occurred_at::text FROM outbox
WHERE occurred_at NOT BETWEEN %(since)s AND clock_timestamp()
UNION ALL SELECT 'transfer', recorded_at::text FROM account_transfers
WHERE recorded_at NOT BETWEEN %(since)s AND clock_timestamp()
UNION ALL SELECT 'day', during::text FROM business_days
WHERE NOT during && tstzrange(%(since)s, clock_timestamp(), '[]')
  AND EXISTS (SELECT FROM account_transfers t WHERE t.business_day = day)
"""
TRANSFERS_OF_DAYS = """
SELECT t.timestamp, t.business_day, d.during @> t.timestamp FROM account_transfers t
JOIN business_days d ON d.day = t.business_day ORDER BY t.timestamp
"""


def three_schedulers(stage: Stage, dice: Random, *, sabotaged: bool) -> Outcome:
    """Three schedulers and two more workers: each tick runs once."""
    system = stage.system
    sabotage = ["ticks_are_not_claimed"] if sabotaged else []
    system.become("counts_its_ticks", *sabotage, programs=["worker.py"])
    (system.data_dir / "ticks.log").unlink(missing_ok=True)
    more = [_start(system, program) for program in ("scheduler.py", "scheduler.py", "worker.py")]
    try:
        system.redis().delete(SCHEDULER_LOCK)
        seconds = stage.seconds if sabotaged else max(stage.seconds, 8.0)
        outcome = storm(Stage(system, seconds), dice, _ask_for_all_ticks)
        system.wait_for(lambda: system.redis().llen(QUEUE) == 0, "every tick was looked at")
    finally:
        for process in more:
            process.kill()
            process.wait()
    lines = _ticks(system)
    runs = _runs_of_ticks(lines)
    repeated = {tick: count for tick, count in runs.items() if count > 1}
    outcome.check(lines, "no job ran at all")
    outcome.doubled += sum(count - 1 for count in repeated.values())
    outcome.check(not repeated, f"ran more than once: {repeated}")
    return outcome


def _ask_for_all_ticks(system: System, _dice: Random) -> int:
    """What a second scheduler does, whose lock was lost: every job is put on the queue again."""
    from rq import Queue
    from rq.serializers import JSONSerializer

    from app.schedules import SCHEDULE

    queue = Queue("default", connection=system.redis(), serializer=JSONSerializer)
    for job in SCHEDULE:
        for _ in range(2):
            queue.enqueue_call("app.schedules.tick", args=[job.name], result_ttl=0)
    time.sleep(1.0)
    return 0


def _ticks(system: System) -> list[str]:
    """What `counts_its_ticks` wrote: a line for each run of a job."""
    log = system.data_dir / "ticks.log"
    return log.read_text().splitlines() if log.exists() else []


def _runs_of_ticks(lines: list[str]) -> Counter[tuple[str, int]]:
    """How often each tick's job ran. A run at a tick's very edge may be the tick's before."""
    from app.schedules import SCHEDULE

    every_s = {job.name: job.every_s for job in SCHEDULE}
    runs: Counter[tuple[str, int]] = Counter()
    for line in lines:
        name, at = line.split()
        if float(at) % every_s[name] > 0.5:
            runs[name, int(float(at) // every_s[name])] += 1
    return runs


def _start(system: System, program: str) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-P", str(Path(__file__).with_name("wrapped.py")), str(ROOT / program)]
    env = {**os.environ, **system.env, "PYTHONPATH": str(ROOT), "TZ": "UTC"}
    with (system.data_dir / "more.log").open("ab") as log:
        return subprocess.Popen(words, cwd=ROOT, env=env, stdout=log, stderr=log)


def clock_jumps(stage: Stage, dice: Random, *, sabotaged: bool) -> Outcome:
    """The processes' clocks are an hour or a day off: the database's is the one that counts."""
    import libfaketime

    system = stage.system
    # LD_PRELOAD has no way to name a path with a space in it, such as a checkout's may be.
    library = system.data_dir / "libfaketime.so.1"
    library.unlink(missing_ok=True)
    library.symlink_to(Path(libfaketime.__file__).parent / "vendor/libfaketime/src" / library.name)
    jump = dice.choice(JUMPS)
    # Monotonic time goes on as it is: what jumps on a machine is its calendar.
    env = {"LD_PRELOAD": str(library), "FAKETIME": jump, "DONT_FAKE_MONOTONIC": "1"}
    database = system.new_database()
    with system.connect() as connection:
        row = connection.execute("SELECT now()").fetchone()
    sabotage = ["time_is_the_process_s"] if sabotaged else []
    system.become(*sabotage, env=env, database=database, programs=["gunicorn", "worker.py"])
    outcome = storm(stage, dice, lambda _system, _dice: 0)
    with system.connect() as connection:
        since = row[0] if row else None
        found = connection.execute(MISDATED, {"since": since}).fetchall()
    said = f"moments are not the database's (by {jump}, since {since})"
    outcome.check(not found, f"{len(found)} {said}: {found[:3]}")
    return outcome


def days_of_23_and_25_hours(stage: Stage, dice: Random, *, sabotaged: bool) -> Outcome:
    """Transfers around midnight on the days when clocks change: each on exactly one day."""
    outcome = Outcome()
    open_days = posting.OPEN_DAYS, closing.OPEN_DAY
    if sabotaged:  # a day is 24 hours
        end = "(%s + 1)::timestamp AT TIME ZONE :timezone"
        day_s = "%s::timestamp AT TIME ZONE :timezone + interval '24 hours'"
        posting.OPEN_DAYS = _replaced(posting.OPEN_DAYS, end % "day", day_s % "day")
        cast = "CAST(:day AS date)"
        closing.OPEN_DAY = _replaced(closing.OPEN_DAY, end % cast, day_s % cast)
    try:
        for day, hours in DAYS.items():
            database = stage.system.new_database()
            with stage.system.app(database, business_timezone=ZONE) as app, app.app_context():
                _play_days(stage.system, dice, day)
                url = stage.system.cluster.superuser_url(database)
                with psycopg.connect(url) as connection:
                    _check_days(outcome, connection, day, hours)
    finally:
        posting.OPEN_DAYS, closing.OPEN_DAY = open_days
    return outcome


def _play_days(system: System, dice: Random, day: date) -> None:
    """Tasks in the last and first moments of the days around `day`, each closed in its turn."""
    manager = Actor(system.people["mary"][0], "mary", Role.MANAGER)
    accountant = Actor(system.people["ann"][0], "ann", Role.ACCOUNTANT)
    for number in range(-1, 2):
        start = datetime.combine(day + timedelta(days=number), datetime.min.time(), ZoneInfo(ZONE))
        end = datetime.combine(day + timedelta(days=number + 1), start.time(), ZoneInfo(ZONE))
        first, last = start.astimezone(UTC), end.astimezone(UTC)
        inside = first + (last - first) * dice.random()
        # The clock goes on while a task is created: a second before the end is early enough.
        for moment in sorted([first, inside, last - timedelta(seconds=20)]):
            _at(moment)
            create_tasks(manager, [Draft(f"Fence of {moment:%d %H:%M}")])
        relay.drain(CONSUMER)
    _at(last + timedelta(seconds=1))
    accounting.pay_to_workers(accountant, business_day=day + timedelta(days=1))
    relay.drain(CONSUMER)


def _check_days(
    outcome: Outcome, connection: psycopg.Connection[Any], day: date, hours: int
) -> None:
    lengths = "SELECT upper(during) - lower(during) FROM business_days WHERE day = %s"
    row = connection.execute(lengths, [day]).fetchone()
    outcome.check(row and row[0] == timedelta(hours=hours), f"{day} is {row} long, not {hours} h")
    gaps = """SELECT d.day FROM business_days d JOIN business_days n ON n.day = d.day + 1
              WHERE upper(d.during) <> lower(n.during)"""
    outcome.check(not connection.execute(gaps).fetchall(), "days have gaps or overlap")
    found = connection.execute(TRANSFERS_OF_DAYS).fetchall()
    outcome.attempts += 9
    outcome.acknowledged += len(found)
    for moment, business_day, is_inside in found:
        own = moment.astimezone(ZoneInfo(ZONE)).date()
        outcome.check(is_inside, f"{moment} counts on {business_day}, which it is not in")
        outcome.check(own == business_day, f"{moment} counts on {business_day}, not on {own}")
    outcome.lost += max(0, 9 - len(found))
    outcome.wrong += [f"{rule}: {rows[:3]}" for rule, rows in findings(connection).items()]


def _at(moment: datetime) -> None:
    in_transaction(lambda session: clock.move_to(session, moment))


def _replaced(statement: Any, old: str, new: str) -> Any:
    text = str(statement)
    assert old in text, text
    return sql(text.replace(old, new))
