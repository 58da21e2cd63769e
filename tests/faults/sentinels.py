"""Two Valkeys, one the other's replica, and three Sentinels that decide which is the master."""

from __future__ import annotations

import contextlib
import secrets
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import redis

from embedded.process import Process
from embedded.valkey import _program

SERVICE = "ates"
# A master that does not answer for so long is down; then the Sentinels vote.
DOWN_AFTER_MS = 500
FAILOVER_TIMEOUT_MS = 3_000
START_S = 20.0


class Sentinels:
    """The servers; `url` is what REDIS_URL would be."""

    def __init__(self, folder: Path, *, sentinels: int = 3) -> None:
        self.password = secrets.token_hex(16)
        ports = _free_ports(2 + sentinels)
        self.servers = {port: self._server(folder, port, ports[0]) for port in ports[:2]}
        quorum = sentinels // 2 + 1
        self.watchers = {port: self._sentinel(folder, port, ports[0], quorum) for port in ports[2:]}

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.watchers)
        return f"redis+sentinel://:{self.password}@{hosts}/{SERVICE}"

    def start(self) -> None:
        """Start all and wait until there is a replica that could be promoted, known to all."""
        for process in (*self.servers.values(), *self.watchers.values()):
            process.start()
        give_up_at = time.monotonic() + START_S
        while not all(self._is_known(port) for port in self.watchers):
            assert time.monotonic() < give_up_at, "the Sentinels do not know their service"
            time.sleep(0.05)

    def stop(self) -> None:
        for process in (*self.watchers.values(), *self.servers.values()):
            process.kill9()

    def master(self) -> int | None:
        """The port of the master, as most Sentinels say, if it answers as one."""
        told = [self._told(port) for port in self.watchers]
        port = max(set(told), key=told.count)
        with contextlib.suppress(redis.RedisError):
            if port and self.client(port).role()[0] == b"master":
                return port
        return None

    def client(self, port: int) -> redis.Redis:
        return redis.Redis(
            port=port, password=self.password, socket_timeout=1, retry=None, protocol=2
        )

    def kill_master(self) -> int:
        """SIGKILL of the master; returns its port."""
        port = self.master()
        assert port, "there is no master"
        self.servers[port].kill9()
        return port

    def _told(self, watcher: int) -> int | None:
        with contextlib.suppress(redis.RedisError):
            found = redis.Redis(port=watcher, socket_timeout=1, retry=None, protocol=2)
            address = found.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)
            return int(address[1]) if address else None
        return None

    def _is_known(self, watcher: int) -> bool:
        with contextlib.suppress(redis.RedisError):
            found = redis.Redis(port=watcher, socket_timeout=1, retry=None, protocol=2)
            replicas = found.execute_command("SENTINEL", "REPLICAS", SERVICE)
            others = found.execute_command("SENTINEL", "SENTINELS", SERVICE)
            return len(replicas) == 1 and len(others) == len(self.watchers) - 1
        return False

    def _server(self, folder: Path, port: int, master: int) -> Process:
        lines = [
            f"port {port}",
            "bind 127.0.0.1",
            f"requirepass {self.password}",
            f"primaryauth {self.password}",
            'save ""',
            "appendonly no",
            "repl-diskless-sync-delay 0",
            *([f"replicaof 127.0.0.1 {master}"] if port != master else []),
        ]
        return self._process(folder, f"server-{port}", lines)

    def _sentinel(self, folder: Path, port: int, master: int, quorum: int) -> Process:
        lines = [
            f"port {port}",
            "bind 127.0.0.1",
            f"sentinel monitor {SERVICE} 127.0.0.1 {master} {quorum}",
            f"sentinel auth-pass {SERVICE} {self.password}",
            f"sentinel down-after-milliseconds {SERVICE} {DOWN_AFTER_MS}",
            f"sentinel failover-timeout {SERVICE} {FAILOVER_TIMEOUT_MS}",
        ]
        return self._process(folder, f"sentinel-{port}", lines, "--sentinel")

    @staticmethod
    def _process(folder: Path, name: str, lines: list[str], *words: str) -> Process:
        own = folder / name
        own.mkdir(parents=True)
        config = own / "valkey.conf"
        config.write_text("\n".join([*lines, f"dir {own}"]) + "\n")
        command = [_program(), str(config), *words]
        return Process(name, command, log=own / "log", cwd=own, stop_signal=signal.SIGTERM)


@contextlib.contextmanager
def running(folder: Path, *, sentinels: int = 3) -> Iterator[Sentinels]:
    """Start them, and end them afterwards."""
    found = Sentinels(folder, sentinels=sentinels)
    try:
        found.start()
        yield found
    finally:
        found.stop()


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as held:
        listeners = [held.enter_context(socket.socket()) for _ in range(count)]
        for listener in listeners:
            listener.bind(("127.0.0.1", 0))
        return [listener.getsockname()[1] for listener in listeners]
