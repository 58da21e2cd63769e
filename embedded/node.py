"""A server that is a primary or a standby, and goes on when the command that started it ends."""

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

import psycopg

from embedded import folders, pgdata
from embedded.errors import EmbeddedError
from embedded.keys import key
from embedded.pgdata import program
from embedded.postgres import SETTINGS, SUPERUSER, Cluster

REPLICATION: dict[str, str] = {
    "listen_addresses": "",
    "wal_level": "replica",
    "wal_keep_size": "512MB",
    "wal_log_hints": "on",  # for pg_rewind
    "hot_standby": "on",
    "archive_mode": "on",
    "archive_timeout": "60",
    "wal_receiver_status_interval": "1",
    "wal_retrieve_retry_interval": "200ms",
    "wal_sender_timeout": "10s",
    # A standby that follows closely promotes quickly.
    "checkpoint_timeout": "5min",
}
START_S, STOP_S, PROMOTE_S = 30, 15, 20


class Node(Cluster):
    """One server of the cluster; its folder holds the data, the secrets are the cluster's."""

    def __init__(self, data_dir: Path, name: str) -> None:
        super().__init__(data_dir / "cluster" / name)
        self.name = name
        self.archive = data_dir.resolve() / "cluster" / "archive"

    def is_up(self) -> bool:
        """Whether the server answers."""
        try:
            self.connect(timeout_s=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def connect(self, timeout_s: int = 5) -> psycopg.Connection:
        """A superuser's connection, in autocommit."""
        url = self.superuser_url()
        return psycopg.connect(url, connect_timeout=timeout_s, autocommit=True)

    def is_standby(self) -> bool:
        """Whether its data says that it follows another, also while it is down."""
        return (self.pgdata / "standby.signal").exists()

    def make(self) -> None:
        """Make the data of a first primary, with the roles and the database. Raises EmbeddedError.

        It is started and stopped once.
        """
        with self:
            pass
        with (self.pgdata / "postgresql.conf").open("a") as file:
            file.write("\ninclude_if_exists = 'ates.conf'\n")

    def copy_from(self, primary: "Node", *, into: Path | None = None) -> None:
        """Make a base backup of a running node, as this node's data. Raises EmbeddedError."""
        self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        if primary is not self:
            secrets = self.data_dir / "secrets"
            shutil.copytree(primary.data_dir / "secrets", secrets, dirs_exist_ok=True)
        target = into or self.pgdata
        unfinished = target.with_name(f"{target.name}.new")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        self.own(unfinished)
        self._let_pass(target.parent)
        copy = ["--pgdata", str(unfinished), "--checkpoint=fast", "--wal-method=stream"]
        self.run_tool("pg_basebackup", *copy, "--dbname", primary.superuser_url())
        unfinished.rename(target)

    def launch(self, *, follows: "Node | None", synchronous: bool) -> None:
        """Start the server, which goes on by itself, and wait until it answers."""
        self.configure(follows=follows, synchronous=synchronous)
        self._start_server()
        self._wait_until(self.is_up, "answered", START_S)

    def configure(self, *, follows: "Node | None", synchronous: bool) -> None:
        """Write what a node that is down will be: primary, or the standby of `follows`."""
        self.set(follows=follows, synchronous=synchronous)
        if follows:
            self._write("standby.signal", "")
        else:
            (self.pgdata / "standby.signal").unlink(missing_ok=True)

    def recover(self, moment: datetime, *, timeout_s: float) -> None:
        """Start a copy of a backup, replay the archive up to `moment`, and take writes."""
        self.configure(follows=None, synchronous=False)
        with (self.pgdata / "ates.conf").open("a") as file:
            file.write("archive_mode = 'off'\nrecovery_target_action = 'promote'\n")
            file.write(f"recovery_target_time = '{moment.isoformat()}'\n")
        self._write("recovery.signal", "")
        self._start_server()
        self._wait_until(self.takes_writes, "reached that moment", timeout_s)

    def set(self, *, follows: "Node | None", synchronous: bool) -> None:
        """Write the settings; a server that runs takes them up when it is asked to."""
        values = {**SETTINGS, **REPLICATION, "archive_command": _archive_command(self.archive)}
        values["synchronous_standby_names"] = "*" if synchronous else ""
        values["restore_command"] = f'cp "{self.archive}/%f" "%p"'
        if follows:
            values["primary_conninfo"] = follows.replication_conninfo(self.name)
        quoted = {name: value.replace("'", "''") for name, value in values.items()}
        lines = [f"{name} = '{value}'" for name, value in quoted.items()]
        self._write("ates.conf", "\n".join(lines) + "\n")

    def replication_conninfo(self, name: str) -> str:
        """How the standby called `name` reaches this node."""
        password = key(self.data_dir, f"postgres-{SUPERUSER}")
        where = f"host={self.socket_folder} user={SUPERUSER} password={password}"
        return f"{where} application_name={name}"

    def halt(self, mode: str = "fast") -> None:
        """Stop the server if it runs; `immediate` as a crash would."""
        with contextlib.suppress(EmbeddedError):
            words = ["--pgdata", str(self.pgdata), "--mode", mode, "-t", str(STOP_S)]
            self.run_tool("pg_ctl", "stop", *words)

    def promote(self) -> None:
        """Make a standby the primary, and wait until it takes writes."""
        self.set(follows=None, synchronous=False)
        with self.connect() as connection:
            connection.execute("SELECT pg_reload_conf()")
            connection.execute("SELECT pg_promote(true, %s)", [PROMOTE_S])
        self._wait_until(self.takes_writes, "took writes", PROMOTE_S)

    def takes_writes(self) -> bool:
        """Whether it is up and no standby."""
        try:
            with self.connect(timeout_s=2) as connection:
                row = connection.execute("SELECT pg_is_in_recovery()").fetchone()
        except psycopg.OperationalError:
            return False
        return row is not None and not row[0]

    def rewind_to(self, primary: "Node") -> None:
        """Undo what this node has and `primary` has not. Raises EmbeddedError."""
        with primary.connect() as connection:
            connection.execute("CHECKPOINT")  # the source must know its new timeline
        pgdata.wait_for_predecessor(self.pgdata)
        (self.pgdata / "postmaster.pid").unlink(missing_ok=True)
        # It recovers a crashed node by itself first, which a standby's mark would forbid.
        (self.pgdata / "standby.signal").unlink(missing_ok=True)
        words = ["--target-pgdata", str(self.pgdata), "--source-server", primary.superuser_url()]
        try:
            self.run_tool("pg_rewind", *words)
        finally:
            self._write("standby.signal", "")

    def standbys(self) -> Sequence[tuple[str, str, str]]:
        """Of each standby that is connected: its name, state, and whether it is synchronous."""
        statement = "SELECT application_name, state, sync_state FROM pg_stat_replication"
        with self.connect() as connection:
            return [(row[0], row[1], row[2]) for row in connection.execute(statement).fetchall()]

    def _let_pass(self, *places: Path) -> None:
        user = self.user or pgdata.server_user(self.pgdata)
        if user:
            for place in places:
                folders.let_pass(user, place)

    def _start_server(self) -> None:
        self.user = pgdata.server_user(self.pgdata)
        pgdata.wait_for_predecessor(self.pgdata)
        # A dead process that nobody has waited for yet would keep the next from starting.
        (self.pgdata / "postmaster.pid").unlink(missing_ok=True)
        folders.make_private(self.socket_folder, self.user)
        self._let_pass(self.data_dir, program("postgres").parent, self.socket_folder)
        log = self.data_dir / "postgres.log"
        log.touch(mode=0o600)
        self.own(log)
        self._log_began = log.stat().st_size
        words = ["start", "--pgdata", str(self.pgdata), "--log", str(log), "--no-wait"]
        sockets = f"-c unix_socket_directories={self.socket_folder}"
        self.run_tool("pg_ctl", *words, "--options", sockets)

    def _wait_until(self, seen: Callable[[], bool], what: str, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while not seen():
            if time.monotonic() > deadline or self._has_ended():
                raise EmbeddedError(f"Node {self.name} never {what}: {self._last_line()}")
            time.sleep(0.05)

    def _has_ended(self) -> bool:
        return any(line.endswith("database system is shut down") for line in self._said())

    def _last_line(self) -> str:
        lines = self._said()
        marked = [line for line in lines if "FATAL" in line or "PANIC" in line]
        return (marked or lines or ["it said nothing"])[-1]

    def _said(self) -> list[str]:
        """What the server has logged since it was started."""
        text = (self.data_dir / "postgres.log").read_bytes()[self._log_began :]
        return text.decode(errors="replace").splitlines()

    def run_tool(self, tool: str, *words: str) -> str:
        """Run a program of PostgreSQL's as the server's user. Raises EmbeddedError."""
        user = self.user or pgdata.server_user(self.pgdata)
        done = subprocess.run(
            [str(program(tool)), *words],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd="/",
            env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
            user=user.pw_uid if user else None,
            group=user.pw_gid if user else None,
            extra_groups=[] if user else None,
        )
        if done.returncode:
            said = done.stdout.strip().splitlines() or ["it said nothing"]
            raise EmbeddedError(f"{tool} on node {self.name}: {said[-1]}")
        return done.stdout

    def own(self, path: Path) -> None:
        """Give a file or folder to the server's user."""
        user = self.user or pgdata.server_user(self.pgdata)
        if user:
            shutil.chown(path, user.pw_uid, user.pw_gid)

    def _write(self, name: str, text: str) -> None:
        path = self.pgdata / name
        path.write_text(text)
        path.chmod(0o600)
        self.own(path)


def _archive_command(archive: Path) -> str:
    """Copies a segment once, whole or not at all; what the other node has archived is no error."""
    target = f'"{archive}/%f"'
    copied = f'cp "%p" {target}.part && sync {target}.part && mv {target}.part {target}'
    return f'if test -f {target}; then cmp -s "%p" {target}; else {copied}; fi'
