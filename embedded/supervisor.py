"""Keeps processes running: starts them again when they end, stops them in the right order."""

import contextlib
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

from embedded.errors import EmbeddedError
from embedded.process import Process

LOG_BYTES_MAX = 10_000_000
LOG_CHECK_S = 10.0
# A process that lived this long has started well, and is started again at once.
HEALTHY_AFTER_S = 10.0
BACKOFF_S_MIN, BACKOFF_S_MAX = 0.1, 10.0
# Together these stay below the 10 s in which everything has to be down.
PROGRAMS_STOP_S, SERVER_STOP_S = 5.0, 1.5


class Supervisor:
    """The running system: servers, and the programs that use them.

    `tell` hears of each process that ended by itself.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._servers: list[Process] = []
        self._programs: list[Process] = []
        self._started_at: dict[Process, float] = {}
        self._backoff_s: dict[Process, float] = {}
        self._logs_checked_at = 0.0

    @property
    def has_started(self) -> bool:
        """Whether there is anything to stop."""
        return bool(self._started_at)

    def add_server(self, server: Process) -> None:
        """Start what others use and keep it running; it is stopped after all programs."""
        self._servers.append(server)
        self._start(server)

    def add_program(self, program: Process) -> None:
        """Start a program and keep it running."""
        self._programs.append(program)
        self._start(program)

    def look(self) -> None:
        """Start again what has ended, not too often, and shorten logs that have grown long."""
        for process in [*self._servers, *self._programs]:
            code = process.returncode()
            if code is not None and self._is_due(process):
                self._tell(f"{process.name} ended ({_reason(code)}): starting it again.")
                self._start_again(process)
        if time.monotonic() > self._logs_checked_at + LOG_CHECK_S:
            self._logs_checked_at = time.monotonic()
            for process in [*self._servers, *self._programs]:
                if process.log is not None:
                    shorten(process.log)

    def stop(self) -> None:
        """Stop the programs together, then the servers, the newest first."""
        for program in self._programs:
            program.ask_to_stop()
        deadline = time.monotonic() + PROGRAMS_STOP_S
        for program in self._programs:
            program.stop(max(0.0, deadline - time.monotonic()))
        for server in reversed(self._servers):
            server.stop(SERVER_STOP_S)

    def kill(self) -> None:
        """End everything at once."""
        for process in [*self._programs, *reversed(self._servers)]:
            process.kill9()

    def _start(self, process: Process) -> None:
        self._started_at[process] = time.monotonic()
        process.start()

    def _start_again(self, process: Process) -> None:
        lived_s = time.monotonic() - self._started_at[process]
        backoff_s = self._backoff_s.get(process, 0.0)
        self._backoff_s[process] = (
            BACKOFF_S_MIN if lived_s > HEALTHY_AFTER_S else min(BACKOFF_S_MAX, 2 * backoff_s)
        ) or BACKOFF_S_MIN
        try:
            self._start(process)
        except (EmbeddedError, OSError) as error:
            self._tell(str(error))

    def _is_due(self, process: Process) -> bool:
        return time.monotonic() >= self._started_at[process] + self._backoff_s.get(process, 0.0)


def shorten(log: Path) -> None:
    """Keep a log and its predecessor below LOG_BYTES_MAX each, while a process writes to it."""
    with contextlib.suppress(FileNotFoundError):
        if log.stat().st_size > LOG_BYTES_MAX:
            shutil.copyfile(log, log.with_name(log.name + ".1"))
            with log.open("r+b") as file:  # whoever appends to it goes on at its new end
                file.truncate()


def _reason(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"
