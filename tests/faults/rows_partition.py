"""Row 9: the primary loses its standby, the application its primary, and the primary both."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from urllib.parse import quote, urlencode

from requests import ReadTimeout

from embedded.cluster import NODES, Replicas
from embedded.keys import key
from embedded.node import Node
from embedded.postgres import APP_ROLE, DATABASE, OWNER_ROLE
from tests.faults.journal import Attempt, Journal, State
from tests.faults.network import HERE, Cable, Network, network
from tests.faults.rows_cluster import Replicated, _asynchronous
from tests.faults.storm import Stage, recover, storm
from tests.faults.system import System
from tests.faults.verdict import Outcome
from tests.flows.running import Running, started

PORT = "5432"
# How long a cable is out: the standby's for less than the primary takes to give it up, or more;
# the primary's for longer than a client waits for an answer.
STANDBY_S, PRIMARY_S = (3.0, 14.0), 25.0
# What is under way when a cable goes out may be acknowledged a little later.
UNDER_WAY_S = 0.5
ACCESS = """
host all all 10.213.0.0/16 scram-sha-256
host replication all 10.213.0.0/16 scram-sha-256
"""


class NetworkNode(Node):
    """A node on a host of its own, which others reach by TCP."""

    def __init__(self, data_dir: Path, name: str, network: Network) -> None:
        super().__init__(data_dir, name)
        self.network = network

    def make(self) -> None:
        super().make()
        with (self.pgdata / "pg_hba.conf").open("a") as file:
            file.write(ACCESS)

    def set(self, *, follows: Node | None, synchronous: bool) -> None:
        super().set(follows=follows, synchronous=synchronous)
        with (self.pgdata / "ates.conf").open("a") as file:
            file.write(f"listen_addresses = '*'\nport = {PORT}\n")

    def replication_conninfo(self, name: str) -> str:
        where = f"host={self.network.address(self.name, name)} port={PORT} connect_timeout=3"
        return super().replication_conninfo(name).replace(f"host={self.socket_folder}", where)

    def _start_server(self) -> None:
        with self.network.on(self.name):
            super()._start_server()


class NetworkReplicas(Replicas):
    """The two nodes on their hosts; `tcp_url` is what the application is given."""

    def __init__(self, data_dir: Path, network: Network) -> None:
        super().__init__(data_dir)
        self.nodes = [NetworkNode(data_dir, name, network) for name in NODES]
        self.network = network

    def tcp_url(self, role: str = APP_ROLE) -> str:
        password = key(self.data_dir / "cluster" / "a", f"postgres-{role}")
        hosts = [self.network.address(name, HERE) for name in NODES]
        names = {"host": ",".join(hosts), "port": f"{PORT},{PORT}"}
        where = urlencode({**names, "target_session_attrs": "read-write"})
        return f"postgresql://{role}:{quote(password)}@/{DATABASE}?{where}"


class Apart(Replicated):
    """A running aTES whose databases are on two other hosts; the rig itself is on each."""

    def __init__(self, running: Running, replicas: NetworkReplicas) -> None:
        super().__init__(running, replicas)
        self.replicas: NetworkReplicas = replicas

    def app_url(self, database: str) -> str:
        assert database == "ates"
        return self.replicas.tcp_url()


@contextlib.contextmanager
def apart(data_dir: Path) -> Iterator[Apart]:
    """Start two hosts with a cluster on them and an aTES here, and stop all of it afterwards."""
    with network() as cables:
        replicas = NetworkReplicas(data_dir, cables)
        replicas.start()
        try:
            urls = {
                "DATABASE_URL": replicas.tcp_url(),
                "MIGRATION_DATABASE_URL": replicas.tcp_url(OWNER_ROLE),
            }
            with started(data_dir, module="tests.faults.host", **urls) as running:
                yield Apart(running, replicas)
        finally:
            cables.heal()
            replicas.stop()


def partitioned(stage: Stage, dice: Random, *, sabotaged: bool) -> Outcome:
    """Without the standby nothing is acknowledged; without the primary all are answered."""
    system = _apart(stage.system)
    system.become()
    if not sabotaged:
        return _partitioned(stage, dice, [_without_standby, _without_primary, _primary_alone])
    with _asynchronous(system):
        outcome = _partitioned(Stage(system, 0.0, 1), dice, [_without_standby])
    if not outcome.wrong:
        return outcome
    system.become("network_is_waited_for", programs=["gunicorn"])
    return _partitioned(Stage(system, 0.0, 1), dice, [_without_primary])


@dataclass(slots=True)
class _Quiet:
    """Since when, and until when, nothing could be acknowledged rightly."""

    spans: list[tuple[float, float]] = field(default_factory=list)

    def covers(self, attempt: Attempt) -> bool:
        return any(began < attempt.answered_at < ended for began, ended in self.spans)


Cut = Callable[["Apart", Random, _Quiet], None]


def _partitioned(stage: Stage, dice: Random, cuts: Sequence[Cut]) -> Outcome:
    """Each of `cuts` in its turn; all of them at least once."""
    quiet, turns = _Quiet(), itertools.cycle(cuts)

    def strike(system: System, dice: Random) -> int:
        next(turns)(_apart(system), dice, quiet)
        return 0

    def look(journal: Journal, outcome: Outcome) -> None:
        told = [a for a in journal.attempts if a.state is State.OK and quiet.covers(a)]
        outcome.check(not told, f"{len(told)} acknowledged while the standby was away")
        left = [a for a in journal.attempts if ReadTimeout.__name__ in a.answers]
        outcome.check(not left, f"{len(left)} waited for an answer until they gave up")

    rounds = max(stage.rounds, len(cuts))
    return storm(Stage(stage.system, stage.seconds, rounds), dice, strike, look=look)


def _without_standby(system: Apart, dice: Random, quiet: _Quiet) -> None:
    """The primary and its standby do not reach each other."""
    with _cut(system, NODES):
        began = time.monotonic() + UNDER_WAY_S
        time.sleep(dice.uniform(*STANDBY_S))
        quiet.spans.append((began, time.monotonic()))


def _without_primary(system: Apart, _dice: Random, _quiet: _Quiet) -> None:
    """The application does not reach the primary, which has its standby."""
    with _cut(system, (HERE, system.replicas.primary().name)):
        time.sleep(PRIMARY_S)


def _primary_alone(system: Apart, _dice: Random, quiet: _Quiet) -> None:
    """The primary is up and reaches nobody; its standby takes over, and it is rewound."""
    replicas = system.replicas
    old = replicas.primary()
    new = replicas._other(old)
    with _cut(system, NODES, (HERE, old.name)):
        began = time.monotonic() + UNDER_WAY_S
        time.sleep(STANDBY_S[0])
        quiet.spans.append((began, time.monotonic()))
        new.promote()
        old.halt("immediate")  # as whoever promotes sees to, sooner or later
        recover(system)
    replicas.rejoin()


@contextlib.contextmanager
def _cut(system: Apart, *cables: Cable) -> Iterator[None]:
    """The cables are out while the block runs."""
    network = system.replicas.network
    for one, other in cables:
        network.cut(one, other)
    try:
        yield
    finally:
        network.heal()


def _apart(system: System) -> Apart:
    assert isinstance(system, Apart), "this row needs hosts of its own"
    return system
