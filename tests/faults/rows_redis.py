"""Rows 10 to 13: Redis wiped, dead, stalled, failed over. All of it may cost latency only."""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
import time
from pathlib import Path
from random import Random

from redis import Redis
from redis.exceptions import RedisError

from app.kernel import redis_address
from tests.faults import sentinels
from tests.faults.journal import Journal, State
from tests.faults.storm import Stage, recover, storm
from tests.faults.system import System
from tests.faults.verdict import Outcome

SCHEDULED = "rq:scheduler:scheduled_jobs"
# The schedule is registered again within this time; it is looked for a little longer.
REGISTERED_S = 15.0
OUTAGE_S = 60.0
STALL_S = 1.5
# A stalled Redis is given 100 ms a second by each process; the rest is for a busy machine.
ANSWER_S = 2.5


def wiped(stage: Stage, dice: Random, *, sabotaged: bool) -> Outcome:
    """FLUSHALL: the queue, the bell and the schedule are gone."""
    system = stage.system
    changes = ["schedule_is_registered_once"] if sabotaged else []
    system.become(*changes, programs=["scheduler.py"])

    def wipe(system: System, _dice: Random) -> int:
        system.redis().flushall()
        return 0

    outcome = storm(stage, dice, wipe)
    # It is registered every 5 s; a control needs no more time than that and some.
    _check_scheduled(
        outcome, system, system.redis(), REGISTERED_S / 2 if sabotaged else REGISTERED_S
    )
    return outcome


def dead(stage: Stage, dice: Random, *, sabotaged: bool) -> Outcome:
    """Redis killed and kept down: pages and writes go on, the relay catches up."""
    stage.system.become(*(["bell_must_ring"] if sabotaged else []), programs=["gunicorn"])
    answered: list[float] = []

    def keep_down(system: System, dice: Random) -> int:
        system.hold("valkey")
        time.sleep(stage.seconds / 4 * (0.5 + dice.random()) if stage.is_short else OUTAGE_S)
        answered.append(time.monotonic())
        system.release("valkey")
        system.wait_for(system.has_redis, "Redis is back")
        return 1

    def look(journal: Journal, outcome: Outcome) -> None:
        open_ = journal.count(State.UNKNOWN)
        outcome.check(open_ == 0, f"{open_} requests were not answered while Redis was away")
        slowest_s = journal.slowest_s()
        outcome.check(slowest_s < ANSWER_S, f"an answer took {slowest_s:.1f} s")

    return storm(stage, dice, keep_down, look=look)


def stalled(stage: Stage, dice: Random, *, sabotaged: bool) -> Outcome:
    """Redis stopped, with its connections open: only time-outs help."""
    stage.system.become(*(["redis_is_waited_for"] if sabotaged else []), programs=["gunicorn"])

    def stall(system: System, dice: Random) -> int:
        pids = system.valkeys()
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            time.sleep(STALL_S + (ANSWER_S if sabotaged else dice.random()))
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
        recover(system)
        return 0

    def look(journal: Journal, outcome: Outcome) -> None:
        slowest_s = journal.slowest_s()
        outcome.check(slowest_s < ANSWER_S, f"an answer took {slowest_s:.1f} s")

    return storm(stage, dice, stall, look=look)


def failed_over(stage: Stage, dice: Random, *, sabotaged: bool) -> Outcome:
    """The master behind Sentinels is killed: they make another, and everybody goes there."""
    system = stage.system
    with contextlib.ExitStack() as ending:
        folder = ending.enter_context(tempfile.TemporaryDirectory(prefix="ates-sentinels-"))
        servers = ending.enter_context(sentinels.running(Path(folder)))
        ending.callback(system.become)  # away from what ends here
        sabotage = ["first_master_is_kept"] if sabotaged else []
        system.become(*sabotage, env={"REDIS_URL": servers.url})

        def kill(system: System, _dice: Random) -> int:
            old = servers.kill_master()
            system.wait_for(lambda: servers.master() not in (None, old), "there is a new master")
            if not sabotaged:  # a process that falls over the replica would be started anew
                servers.servers[old].start()
            return 1

        outcome = storm(stage, dice, kill)
        _check_scheduled(outcome, system, redis_address.connect(servers.url), REGISTERED_S)
    return outcome


def _check_scheduled(outcome: Outcome, system: System, client: Redis, timeout_s: float) -> None:
    """The schedule registers itself where it was lost."""
    try:
        took_s = system.wait_for(lambda: _is_scheduled(client), "the schedule is back", timeout_s)
    except AssertionError as late:
        outcome.wrong.append(str(late))
    else:
        outcome.recover_s.append(took_s)


def _is_scheduled(client: Redis) -> bool:
    from app.schedules import SCHEDULE

    try:
        found = {job.decode() for job in client.zrange(SCHEDULED, 0, -1)}
    except RedisError:
        return False
    return found >= {f"ates-{job.name}" for job in SCHEDULE}
