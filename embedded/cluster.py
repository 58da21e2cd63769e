"""A primary and a synchronous standby for development: `bin/ates cluster COMMAND`.

Both are servers of their own, nodes `a` and `b` in `<data folder>/cluster`; they go on when the
command has ended, until `stop`. The primary answers a commit when the standby has written it too.
`failover` fences the primary before it promotes the standby, which then runs alone, and so not
synchronously, until `rejoin` brings the other node back as its standby.
"""

import argparse
import os
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote, urlencode

from embedded import backups
from embedded.errors import EmbeddedError
from embedded.keys import key
from embedded.node import Node
from embedded.postgres import APP_ROLE, DATABASE, OWNER_ROLE
from embedded.settings import ROOT

NODES = ("a", "b")
STREAMS_S = 30.0


class Replicas:
    """The two nodes of a data folder."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.nodes = [Node(data_dir, name) for name in NODES]

    def start(self) -> None:
        """Make the nodes if there are none, and start both. Raises EmbeddedError."""
        first, second = self.nodes
        if not second.pgdata.exists():
            self._make()
            return
        if first.is_standby() == second.is_standby():
            raise EmbeddedError("Both nodes were primaries: `cluster rejoin` the older one first.")
        primary, standby = (second, first) if first.is_standby() else (first, second)
        if not primary.is_up():
            primary.launch(follows=None, synchronous=False)
        self._attach(standby, primary)

    def stop(self) -> None:
        """Stop both, the standby last, so that it has all that the primary wrote."""
        for node in sorted(self.nodes, key=Node.is_standby):
            node.halt()

    def primary(self) -> Node:
        """The node that takes writes. Raises EmbeddedError when there is none."""
        if node := self.found_primary():
            return node
        raise EmbeddedError("No node takes writes: `bin/ates cluster start` or `failover`.")

    def found_primary(self) -> Node | None:
        """The node that takes writes, if one does."""
        return next((node for node in self.nodes if node.takes_writes()), None)

    def failover(self) -> float:
        """Fence the primary, dead or alive, and promote the other; returns the seconds it took.

        The fence is for its data: started again, however that happens, it is a standby that
        follows the new primary, and takes no writes.
        """
        began = time.monotonic()
        standby = next((node for node in self.nodes if node.is_standby() and node.is_up()), None)
        if standby is None:
            raise EmbeddedError("There is no standby that is up and could be promoted.")
        old = self._other(standby)
        old.halt("immediate")
        old.configure(follows=standby, synchronous=False)
        standby.promote()
        return time.monotonic() - began

    def rejoin(self) -> None:
        """Bring the other node back as the primary's standby: rewound, or copied if need be."""
        primary = self.primary()
        node = self._other(primary)
        node.halt("immediate")
        node.rewind_to(primary)
        self._attach(node, primary)

    def status(self) -> list[str]:
        """A line for each node."""
        lines = []
        for node in self.nodes:
            if not node.is_up():
                lines.append(f"{node.name}: down, {'standby' if node.is_standby() else 'primary'}")
            elif not node.takes_writes():
                lines.append(f"{node.name}: standby")
            else:
                found = [f"{name} {state}, {sync}" for name, state, sync in node.standbys()]
                alone = "no standby: a failure now may lose what was acknowledged"
                lines.append(f"{node.name}: primary; {'; '.join(found) or alone}")
        return lines

    def url(self, role: str = APP_ROLE) -> str:
        """The address that finds whichever node takes writes."""
        password = key(self.nodes[0].data_dir, f"postgres-{role}")
        hosts = [("host", str(node.socket_folder)) for node in self.nodes]
        where = urlencode(
            {"host": ",".join(host for _, host in hosts), "target_session_attrs": "read-write"}
        )
        return f"postgresql://{role}:{quote(password)}@/{DATABASE}?{where}"

    def _make(self) -> None:
        primary, standby = self.nodes
        if not primary.pgdata.exists():
            primary.make()
        backups.make_archive(primary)
        if not primary.is_up():
            primary.launch(follows=None, synchronous=False)
        standby.copy_from(primary)
        self._attach(standby, primary)

    def _attach(self, standby: Node, primary: Node) -> None:
        """Start `standby`, and have the primary wait for it from then on."""
        if not standby.is_up():
            standby.launch(follows=primary, synchronous=False)
        deadline = time.monotonic() + STREAMS_S
        while not any(state == "streaming" for _, state, _ in primary.standbys()):
            if time.monotonic() > deadline:
                raise EmbeddedError(f"Node {standby.name} does not follow {primary.name}.")
            time.sleep(0.1)
        primary.set(follows=None, synchronous=True)
        with primary.connect() as connection:
            connection.execute("SELECT pg_reload_conf()")

    def _other(self, node: Node) -> Node:
        return next(other for other in self.nodes if other is not node)


def main(words: Sequence[str]) -> None:
    """Do a command and say what is so. Raises EmbeddedError."""
    wanted = _arguments(words)
    data_dir = Path(os.environ.get("ATES_DATA") or ROOT / "var").absolute()
    replicas = Replicas(data_dir)
    if wanted.command == "backup":
        print(f"Backed up and verified: {backups.back_up(replicas.primary(), data_dir)}")
        return
    if wanted.command == "restore":
        primary = replicas.found_primary()
        node = backups.restore(data_dir, to=wanted.to, into=wanted.into, primary=primary)
        print(f"Restored and running: DATABASE_URL='{node.owner_url()}'")
        print(f"Stop it by: {backups.how_to_stop(node)}")
        return
    if wanted.command == "failover":
        print(f"Promoted after {replicas.failover():.1f} s")
    elif wanted.command != "status":
        getattr(replicas, wanted.command)()
    print("\n".join(replicas.status()))
    if wanted.command == "start":
        print(f"DATABASE_URL='{replicas.url()}'")
        print(f"MIGRATION_DATABASE_URL='{replicas.url(OWNER_ROLE)}'")


def _arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="bin/ates cluster", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, what in {
        "start": "make the two nodes if there are none, and start them",
        "stop": "stop both",
        "status": "say which node takes writes, and who follows",
        "failover": "fence the primary and promote its standby",
        "rejoin": "bring the other node back as a standby",
        "backup": "make a base backup of the primary, and verify it",
    }.items():
        commands.add_parser(name, help=what)
    restore = commands.add_parser("restore", help="start a copy as of a point in time")
    restore.add_argument("--to", required=True, help="such as '2026-11-23 18:30:00+00'")
    restore.add_argument("--into", required=True, type=Path, help="a folder that is not there yet")
    return parser.parse_args(words)
