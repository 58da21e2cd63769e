"""A child process in a group of its own, that writes to a log and does not outlive its parent."""

import contextlib
import ctypes
import os
import pwd
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

PR_SET_PDEATHSIG = 1
KILL_TIMEOUT_S = 2.0
LAST_WORDS_BYTES = 50_000


class Process:
    """A program and, once it is started, the process that runs it.

    What it says goes to the end of `log`, or to our own terminal if that is None.
    The kernel sends it `stop_signal` when the thread that started it ends (on Linux, and only if
    that is the main thread), so that even a SIGKILL of the parent leaves nothing behind.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        log: Path | None,
        env: Mapping[str, str] | None = None,
        user: pwd.struct_passwd | None = None,
        cwd: Path = Path("/"),
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.name = name
        self.command = [str(word) for word in command]
        self.log = log
        self.env = dict(os.environ if env is None else env)
        self.user = user
        self.cwd = cwd
        self.stop_signal = stop_signal
        self._child: subprocess.Popen[bytes] | None = None
        self._asked_to_stop = False
        self._log_began = 0

    @property
    def pid(self) -> int | None:
        """The process's id, also after its end; None before its start."""
        return self._child.pid if self._child else None

    def start(self) -> None:
        """Start the program. Raises OSError if it cannot be."""
        self._asked_to_stop = False
        with contextlib.ExitStack() as closing:
            log = None
            if self.log is not None:
                self.log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                log = closing.enter_context(self.log.open("ab"))
                self._log_began = log.seek(0, os.SEEK_END)
            self._child = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT if log else None,
                env=self.env,
                cwd=self.cwd,
                process_group=0,
                preexec_fn=_die_with_parent(self.stop_signal),  # noqa: PLW1509 -- takes no lock
                user=self.user.pw_uid if self.user else None,
                group=self.user.pw_gid if self.user else None,
                extra_groups=[] if self.user else None,
            )

    def run(self) -> int:
        """Start the program, wait for its end and return its exit code; it ends with us."""
        try:
            self.start()
            assert self._child is not None
            return self._child.wait()
        finally:
            self.kill9()

    def returncode(self) -> int | None:
        """The exit code of a process that has ended, negative if by a signal; else None."""
        return self._child.poll() if self._child else None

    def last_words(self, *marks: str) -> str:
        """The last line logged since the start that holds one of `marks`, or else the last."""
        lines: list[str] = []
        if self.log is not None and self.log.exists():
            with self.log.open("rb") as log:
                log.seek(max(self._log_began, log.seek(0, os.SEEK_END) - LAST_WORDS_BYTES))
                lines = [line.strip() for line in log.read().decode(errors="replace").splitlines()]
        lines = [line for line in lines if line]
        marked = [line for line in lines if any(mark in line for mark in marks)]
        return (marked or lines or ["it said nothing"])[-1]

    def is_running(self) -> bool:
        """Whether it has been started and has not ended."""
        return self._child is not None and self._child.poll() is None

    def ask_to_stop(self) -> None:
        """Send the signal that makes the program end in good order, once.

        A second one would make some programs drop what they are doing.
        """
        if self._child and self.is_running() and not self._asked_to_stop:
            self._asked_to_stop = True
            self._child.send_signal(self.stop_signal)

    def stop(self, timeout_s: float = 5.0) -> None:
        """End the program in good order, or by SIGKILL after `timeout_s`, with all below it."""
        if self._child is None:
            return
        below = self._descendants()
        self.ask_to_stop()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(timeout_s)
        self._kill(below)

    def kill9(self) -> None:
        """End the program and all below it at once, as a power cut would."""
        if self._child is not None:
            self._kill(self._descendants())

    def _descendants(self) -> list[psutil.Process]:
        assert self._child is not None
        try:
            return psutil.Process(self._child.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def _kill(self, below: list[psutil.Process]) -> None:
        assert self._child is not None
        self._child.kill()
        self._child.wait(KILL_TIMEOUT_S)
        for process in below:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        deadline = time.monotonic() + KILL_TIMEOUT_S
        while any(map(_runs, below)) and time.monotonic() < deadline:
            time.sleep(0.01)


def _runs(process: psutil.Process) -> bool:
    # A killed grandchild stays as a zombie until whoever inherited it looks.
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _die_with_parent(death_signal: signal.Signals) -> Callable[[], None] | None:
    if sys.platform != "linux" or threading.current_thread() is not threading.main_thread():
        return None
    libc = ctypes.CDLL(None)
    parent = os.getpid()

    def ask_kernel() -> None:
        libc.prctl(PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
        if os.getppid() != parent:  # it died before it could be asked for
            os._exit(1)

    return ask_kernel
