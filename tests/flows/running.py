"""A whole aTES as bin/run starts it, for tests that need the real processes."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import requests

from embedded import data_folder
from embedded.process import _die_with_parent

ROOT = Path(__file__).parents[2]
READY_S = 180
ADMIN = {
    "ATES_ADMIN_LOGIN": "root-admin",
    "ATES_ADMIN_EMAIL": "root-admin@ates.example",
    "ATES_ADMIN_PASSWORD": "twelve-green-feathers",
}


class Running:
    """A running system: its address, its environment, and its processes."""

    def __init__(self, process: subprocess.Popen[str], data_dir: Path, port: int) -> None:
        self.process = process
        self.data_dir = data_dir
        self.address = f"http://127.0.0.1:{port}"

    @property
    def env(self) -> dict[str, str]:
        return data_folder.published(self.data_dir)

    def pids(self, program: str) -> list[int]:
        """The processes of `worker.py`, `scheduler.py`, `gunicorn` … of this system alone."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        return [child.pid for child in children if program in " ".join(_command(child))]

    def kill(self, program: str) -> int:
        """SIGKILL the processes of a program; returns how many there were."""
        pids = self.pids(program)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return len(pids)

    def ates(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `bin/ates` beside the system."""
        return subprocess.run(
            [sys.executable, "-m", "embedded.ates", *arguments],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "ATES_DATA": str(self.data_dir)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@contextlib.contextmanager
def started(
    data_dir: Path, *, module: str = "embedded.run", ready_s: float = READY_S, **env: str
) -> Iterator[Running]:
    """Start aTES in `data_dir`, without a demo company, and stop it afterwards.

    `module` stands for bin/run.
    """
    port = _free_port()
    with (data_dir.parent / f"{data_dir.name}.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", module],
            cwd=ROOT,
            env={
                "PATH": os.environ["PATH"],
                "HOME": os.environ.get("HOME", "/"),
                "TMPDIR": tempfile.gettempdir(),  # where sockets are, for whoever looks for them
                "PORT": str(port),
                "ATES_DATA": str(data_dir),
                "ATES_DEMO": "0",
                **ADMIN,
                **env,
            },
            stdout=log,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=_die_with_parent(signal.SIGTERM),  # noqa: PLW1509 -- takes no lock
        )
        running = Running(process, data_dir, port)
        try:
            _wait_until_ready(running, Path(log.name), ready_s)
            yield running
        finally:
            process.terminate()
            process.wait(timeout=15)


def _wait_until_ready(running: Running, log: Path, ready_s: float) -> None:
    give_up_at = time.monotonic() + ready_s
    while time.monotonic() < give_up_at and running.process.poll() is None:
        with contextlib.suppress(requests.RequestException):
            if requests.get(f"{running.address}/readyz", timeout=5).ok:
                return
        time.sleep(0.1)
    raise AssertionError(f"aTES did not start:\n{log.read_text()}")


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
