"""A process is ended with all below it, and with its parent."""

import signal
import subprocess
import sys
import time

import psutil
import pytest

from embedded.process import Process

STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(child.pid, flush=True)
time.sleep(60)
"""
COUNTING = """
import signal, time
got = []
def count(*_):
    got.append(1)
    print(len(got), flush=True)
signal.signal(signal.SIGTERM, count)
print("up", flush=True)
time.sleep(0.5)
"""
PARENT = """
import sys, time
from pathlib import Path
from embedded.process import Process
child = Process("child", [sys.executable, "-c", "import time; time.sleep(60)"], log=None)
child.start()
print(child.pid, flush=True)
time.sleep(60)
"""


def python(code: str, tmp_path) -> Process:
    return Process("python", [sys.executable, "-c", code], log=tmp_path / "log")


def wait_for(condition, timeout_s: float = 5.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_program_that_ignores_its_signal_is_killed_with_its_children(tmp_path):
    process = python(STUBBORN, tmp_path)
    process.start()
    wait_for(lambda: process.last_words().isdigit())
    began = time.monotonic()
    process.stop(timeout_s=0.2)
    assert time.monotonic() - began < 2
    assert process.returncode() == -signal.SIGKILL
    assert is_gone(int(process.last_words()))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's end")
def test_a_child_ends_when_its_parent_is_killed():
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    with parent:
        assert parent.stdout
        child = int(parent.stdout.readline())
        assert not is_gone(child)
        parent.kill()
    wait_for(lambda: is_gone(child))


def test_last_words_are_of_this_start_and_of_the_marked_kind(tmp_path):
    (tmp_path / "log").write_text("Error: an old one\n")
    process = python("print('Error: a new one'); print('bye')", tmp_path)
    assert process.run() == 0
    assert process.last_words("Error") == "Error: a new one"
    assert process.last_words() == "bye"
    assert process.last_words("FATAL") == "bye"


def test_the_signal_is_sent_once(tmp_path):
    process = python(COUNTING, tmp_path)
    process.start()
    wait_for(lambda: process.last_words() == "up")
    process.ask_to_stop()
    process.stop(timeout_s=3)
    assert process.last_words() == "1"
