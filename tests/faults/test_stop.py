"""bin/faults that is stopped by a signal leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]
WAIT_S = 120


def test_a_signal_ends_what_was_started(tmp_path: Path) -> None:
    env = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    words = ["-P", "-m", "tests.faults.run", "--only", "3", "--no-controls"]
    rig = subprocess.Popen([sys.executable, *words], cwd=ROOT, env=env, stdout=subprocess.PIPE)
    try:
        family = _when(lambda: _family(rig.pid), lambda found: "postgres" in _names(found))
        rig.send_signal(signal.SIGTERM)
        said, _ = rig.communicate(timeout=WAIT_S)
    finally:
        rig.kill()
    assert rig.returncode == 130
    assert b"Stopped" in said
    _when(lambda: [process for process in family if process.is_running()], lambda left: not left)
    assert str(tmp_path) not in Path("/proc/mounts").read_text()
    assert not list(tmp_path.glob("ates-faults-*"))


def _family(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


def _names(processes: list[psutil.Process]) -> set[str]:
    names = set()
    for process in processes:
        try:
            names.add(process.name())
        except psutil.NoSuchProcess:
            continue
    return names


def _when(look, is_so):
    """What `look` finds when that is so."""
    give_up_at = time.monotonic() + WAIT_S
    while not is_so(found := look()):
        assert time.monotonic() < give_up_at, found
        time.sleep(0.05)
    return found
