"""The programs of aTES and the commands that prepare their start."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from embedded.errors import EmbeddedError
from embedded.process import Process
from embedded.settings import HOST, ROOT

WEB_WORKERS, WEB_THREADS = "2", "8"
# Requests that run when a stop is asked for may end.
WEB_GRACE_S = "4"


def python(*words: str) -> list[str]:
    """A command for this environment's Python, deaf to modules in the current folder."""
    return [sys.executable, "-P", *words]


def flask(*words: str) -> list[str]:
    """A command of the app, from any current folder."""
    return python("-m", "flask", "--app", str(ROOT / "app"), *words)


def programs(port: int, *, logs: Path, env: Mapping[str, str]) -> list[Process]:
    """The web server, the worker and the scheduler, in the order of their start.

    The owner of the tables is for migrations: what answers requests does not know it, and a worker
    only where it is to archive the event log.
    """
    web = [
        *("-m", "gunicorn", "web:app", "--bind", f"{HOST}:{port}"),
        *("--worker-class", "gthread", "--workers", WEB_WORKERS, "--threads", WEB_THREADS),
        *("--graceful-timeout", WEB_GRACE_S, "--no-control-socket"),
    ]
    commands = {
        "web": python(*web),
        "worker": python(str(ROOT / "worker.py")),
        "scheduler": python(str(ROOT / "scheduler.py")),
    }
    return [
        Process(name, command, log=logs / f"{name}.log", env=_env_of(name, env), cwd=ROOT)
        for name, command in commands.items()
    ]


def _env_of(program: str, env: Mapping[str, str]) -> dict[str, str]:
    if program == "worker" and env.get("OUTBOX_ARCHIVE_DIR"):
        return dict(env)
    return {name: env[name] for name in env if name != "MIGRATION_DATABASE_URL"}


def migrate(*, logs: Path, env: Mapping[str, str]) -> None:
    """Bring the database's tables to what the code expects. Raises EmbeddedError."""
    log = logs / "migrate.log"
    migrations = Process("migrations", flask("db", "upgrade"), log=log, env=env, cwd=ROOT)
    if migrations.run() != 0:
        said = migrations.last_words("Error:", "error:")
        raise EmbeddedError(f"Migrations failed: {said} (more in {log})")


def show(*words: str, env: Mapping[str, str]) -> None:
    """Run a command of the app on our terminal. Raises EmbeddedError if it fails."""
    code = Process(words[0], flask(*words), log=None, env=env, cwd=ROOT).run()
    if code != 0:
        raise EmbeddedError(f"`bin/ates {' '.join(words)}` failed with exit code {code}.")


def answer(words: Sequence[str], *, env: Mapping[str, str], given: str = "") -> str:
    """What a command of the app prints when `given` is typed. Raises EmbeddedError if it fails."""
    done = subprocess.run(
        flask(*words),
        input=given,
        env=dict(env),
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines() or ["no reason given"]
        raise EmbeddedError(f"`bin/ates {' '.join(words)}` failed: {said[-1]}")
    return done.stdout.strip()
