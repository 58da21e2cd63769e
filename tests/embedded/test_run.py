"""bin/run from the outside: a copy of the project in a path with a space, started and stopped."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[2]
COPIED = ["app", "bin", "embedded", "migrations", "static", "templates", "translations"]
COPIED += [path.name for path in ROOT.glob("requirements*.txt")]
COPIED += ["package.json", "package-lock.json", "web.py", "worker.py", "scheduler.py"]
START_TIMEOUT_S = 180  # a few seconds, unless the machine is busy with other things
STOP_TIMEOUT_S = 10  # what is promised
ADMIN = {
    "ATES_ADMIN_LOGIN": "chief",
    "ATES_ADMIN_EMAIL": "chief@ates.example",
    "ATES_ADMIN_PASSWORD": "parrots are paid daily",
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project that shares only what was installed for it."""
    project = tmp_path_factory.mktemp("a copy") / "of aTES"
    project.mkdir()
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, project / name)
        elif source.exists():
            shutil.copyfile(source, project / name)
    for script in (project / "bin").iterdir():
        script.chmod(0o755)
    (project / ".venv").symlink_to(ROOT / ".venv")
    return project


def environment(**settings: object) -> dict[str, str]:
    """A newcomer's environment: no setting but these."""
    kept = {name: os.environ[name] for name in ("HOME", "LANG", "PATH") if name in os.environ}
    return kept | {name: str(value) for name, value in settings.items()}


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class System:
    """A running bin/run."""

    project: Path
    port: int
    data_dir: Path
    process: subprocess.Popen[str]
    output: Path

    def said(self) -> str:
        return self.output.read_text()

    def family(self) -> list[psutil.Process]:
        """bin/run and every process below it."""
        run = psutil.Process(self.process.pid)
        return [run, *run.children(recursive=True)]

    def pid_of(self, program: str) -> int | None:
        """The process that runs a program, if one does."""
        found = (one.pid for one in self.family() if program in " ".join(one.cmdline()))
        return next(found, None)

    def get(self, path: str) -> tuple[int, str]:
        return status_and_text(urllib.request.Request(f"http://127.0.0.1:{self.port}{path}"))

    def sign_in(self, login: str, password: str) -> int:
        """The status of the answer to a login and a password."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/api/v1/tokens",
            data=json.dumps({"login": login, "password": password}).encode(),
            headers={"Content-Type": "application/json"},
        )
        return status_and_text(request)[0]

    def ates(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run bin/ates from another folder."""
        return subprocess.run(
            [self.project / "bin" / "ates", *words],
            env=environment(ATES_DATA=self.data_dir),
            cwd="/",
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )


def status_and_text(request: urllib.request.Request) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@contextmanager
def started(project: Path, data_dir: Path, **settings: object) -> Iterator[System]:
    """Start bin/run and wait until it says that it is ready; end it with all below it."""
    port = free_port()
    output = data_dir.with_name(f"{data_dir.name}.output")
    with output.open("w") as file:
        process = subprocess.Popen(
            [project / "bin" / "run"],
            env=environment(PORT=port, ATES_DATA=data_dir, **settings),
            stdout=file,
            stderr=subprocess.STDOUT,
            text=True,
        )
    system = System(project, port, data_dir, process, output)
    try:
        wait_for(lambda: "Ctrl-C" in system.said() or process.poll() is not None, START_TIMEOUT_S)
        assert process.poll() is None, system.said()
        yield system
    finally:
        if process.poll() is None:
            family = system.family()
            process.terminate()
            process.wait(STOP_TIMEOUT_S)
            wait_for(lambda: not any(map(runs, family)), STOP_TIMEOUT_S)


def refused(project: Path, **settings: object) -> str:
    """What bin/run says when it cannot start; its last line, and its exit code is checked."""
    done = subprocess.run(
        [project / "bin" / "run"],
        env=environment(**settings),
        capture_output=True,
        text=True,
        timeout=START_TIMEOUT_S,
        check=False,
    )
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    return done.stderr.strip()


def runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_for(condition, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def system(project, tmp_path_factory) -> Iterator[System]:
    data_dir = tmp_path_factory.mktemp("data") / "a folder"
    with started(project, data_dir) as system:
        yield system


def test_tells_where_it_is_and_who_can_sign_in(system):
    assert f"http://127.0.0.1:{system.port}" in system.said()
    table = [line.split() for line in system.said().splitlines()]
    login, _, password = next(row for row in table if row[1:2] == ["accountant"])
    assert system.sign_in(login, password) == 201
    assert system.sign_in(login, "wrong password") == 401


def test_nothing_listens_but_the_web_server_on_loopback(system):
    listening = {
        connection.laddr
        for process in system.family()
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {("127.0.0.1", system.port)}


def test_secrets_are_in_no_command_and_readable_by_the_owner_alone(system):
    secrets = [path.read_text().strip() for path in (system.data_dir / "secrets").iterdir()]
    commands = " ".join(word for process in system.family() for word in process.cmdline())
    assert len(secrets) >= 5
    assert not [secret for secret in secrets if secret in commands]
    assert (system.data_dir / "run.env").stat().st_mode & 0o077 == 0


def test_the_owner_of_the_tables_is_unknown_to_what_serves(system):
    for program in ("gunicorn", "worker.py", "scheduler.py"):
        env = psutil.Process(system.pid_of(program)).environ()
        assert "ates_app" in env["DATABASE_URL"]
        assert "MIGRATION_DATABASE_URL" not in env
        assert "ATES_ADMIN_PASSWORD" not in env


def test_bin_ates_works_on_the_running_system_from_any_folder(system):
    done = system.ates("outbox", "status")
    assert done.returncode == 0, done.stderr
    assert "accounting" in done.stdout
    assert "--help" in system.ates("--help").stdout
    assert system.ates("no-such-command").returncode == 2


def test_a_killed_worker_is_back_within_seconds(system):
    killed = system.pid_of("worker.py")
    os.kill(killed, signal.SIGKILL)
    wait_for(lambda: "worker ended (SIGKILL)" in system.said(), 5)
    wait_for(lambda: system.pid_of("worker.py") not in (killed, None), 5)


def test_a_killed_database_is_back_and_the_pages_with_it(system):
    os.kill(system.pid_of("bin/postgres"), signal.SIGKILL)
    wait_for(lambda: "postgres ended (SIGKILL)" in system.said(), 5)
    wait_for(lambda: system.get("/readyz")[0] == 200, 10)


def test_a_data_folder_in_use_is_told(system):
    told = refused(system.project, ATES_DATA=system.data_dir, PORT=free_port())
    assert f"is in use by process {system.process.pid}" in told


def test_a_port_in_use_is_told(system, tmp_path):
    told = refused(system.project, ATES_DATA=tmp_path, PORT=system.port)
    assert told == f"Port {system.port} is in use: set PORT to another."


def test_a_second_one_beside_it_is_killed_leaves_nothing_and_starts_again(system, tmp_path):
    data_dir = tmp_path / "second"
    settings = {"ATES_DEMO": 0, "REDIS_URL": "redis://127.0.0.1:1/0"}
    with started(system.project, data_dir, **settings) as second:
        assert "REDIS_URL cannot be reached" in second.said()
        assert "/invitations/" in second.said()
        assert second.get("/readyz")[0] == system.get("/readyz")[0] == 200
        family = second.family()
        second.process.kill()
        second.process.wait()
        wait_for(lambda: not any(map(runs, family)), STOP_TIMEOUT_S)
    nothing_runs = second.ates("outbox", "status")
    assert nothing_runs.returncode == 1
    assert nothing_runs.stderr.startswith(f"No aTES runs in {data_dir}")
    with started(system.project, data_dir, ATES_DEMO=0, **ADMIN) as again:
        assert again.ates("outbox", "status").returncode == 0
        assert again.sign_in(ADMIN["ATES_ADMIN_LOGIN"], ADMIN["ATES_ADMIN_PASSWORD"]) == 201
        assert ADMIN["ATES_ADMIN_PASSWORD"] not in again.said()
        family = again.family()
        began = time.monotonic()
        again.process.send_signal(signal.SIGINT)
        assert again.process.wait(STOP_TIMEOUT_S) == 0
        assert time.monotonic() - began < STOP_TIMEOUT_S
        assert not [process for process in family if runs(process)]
    assert not (data_dir / "run.env").exists()
    assert system.get("/healthz")[0] == 200


@pytest.mark.parametrize("where", [".", "postgres"])
def test_a_broken_data_folder_is_told(project, tmp_path, where):
    data_dir = tmp_path / "data"
    broken = data_dir / where
    broken.parent.mkdir(exist_ok=True)
    broken.write_text("not a folder")
    told = refused(project, ATES_DATA=data_dir, PORT=free_port())
    assert str(broken) in told


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("postgresql://u:hidden@127.0.0.1:1/ates", "DATABASE_URL cannot be reached: .*refused"),
        ("mysql://u:hidden@127.0.0.1/ates", "DATABASE_URL is no address of a PostgreSQL"),
    ],
)
def test_an_unreachable_database_is_told_without_its_password(project, tmp_path, url, told):
    said = refused(project, ATES_DATA=tmp_path, PORT=free_port(), DATABASE_URL=url)
    assert "hidden" not in said
    assert re.search(told, said)


def test_a_python_that_is_too_old_is_told(tmp_path):
    shutil.copytree(ROOT / "bin", tmp_path / "bin")
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("sh", "dirname"):
        (programs / name).symlink_to(str(shutil.which(name)))
    old = programs / "python3"
    old.write_text('#!/bin/sh\n[ "$1" = -V ] && echo Python 3.9.2 && exit\nexit 1\n')
    old.chmod(0o755)
    done = subprocess.run(
        [tmp_path / "bin" / "run"],
        env={"PATH": str(programs)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == "aTES needs Python 3.11 or newer on PATH (found: Python 3.9.2).\n"
