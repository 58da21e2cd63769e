"""What dies is started again soon, but not in a hurry; what is stopped is stopped in order."""

import sys
import time

import pytest

from embedded import supervisor
from embedded.process import Process
from embedded.supervisor import Supervisor, shorten

SLEEP = "import time; time.sleep(60)"


def program(name: str, code: str, tmp_path) -> Process:
    return Process(name, [sys.executable, "-c", code], log=tmp_path / f"{name}.log")


@pytest.fixture
def told():
    return []


@pytest.fixture
def system(told):
    system = Supervisor(tell=told.append)
    yield system
    system.kill()


def look_for(system: Supervisor, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        system.look()
        time.sleep(0.02)


def test_a_killed_program_is_back_within_a_second(system, told, tmp_path):
    worker = program("worker", SLEEP, tmp_path)
    system.add_program(worker)
    killed = worker.pid
    worker.kill9()
    look_for(system, 1.0)
    assert worker.is_running()
    assert worker.pid != killed
    assert told == ["worker ended (SIGKILL): starting it again."]


def test_a_program_that_cannot_live_is_tried_less_and_less(system, told, tmp_path):
    system.add_program(program("broken", "raise SystemExit(3)", tmp_path))
    look_for(system, 1.5)
    assert 2 <= len(told) <= 5  # after 0, 0.1, 0.2, 0.4, 0.8 s and the program's own time
    assert set(told) == {"broken ended (exit code 3): starting it again."}


def test_programs_stop_before_servers(system, tmp_path):
    says = "import atexit, signal, sys, time\nsignal.signal(15, lambda *_: sys.exit())\n"
    says += f"atexit.register(lambda: open({str(tmp_path / 'order')!r}, 'a').write(sys.argv[1]))\n"
    says += "print('up', flush=True)\ntime.sleep(60)"
    processes = []
    for name, add in [
        ("P", system.add_server),
        ("V", system.add_server),
        ("w", system.add_program),
    ]:
        process = program(name, says, tmp_path)
        process.command.append(name)
        add(process)
        processes.append(process)
    deadline = time.monotonic() + 5
    while any(process.last_words() != "up" for process in processes):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    system.stop()
    assert (tmp_path / "order").read_text() == "wVP"


def test_a_long_log_is_shortened_under_its_writer(tmp_path, monkeypatch):
    monkeypatch.setattr(supervisor, "LOG_BYTES_MAX", 10)
    log = tmp_path / "log"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"the first lines\n")
        shorten(log)
        writer.write(b"the last\n")
        shorten(log)
    assert log.read_bytes() == b"the last\n"
    assert (tmp_path / "log.1").read_bytes() == b"the first lines\n"
    shorten(tmp_path / "none")
