"""The data folder: used by one bin/run at a time, and telling bin/ates how to reach it."""

import fcntl
import os
import shlex
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from embedded.errors import EmbeddedError

# What of the running system's environment a command needs to work on the same data.
SHARED = (
    "ALERT_MAIL_TO",
    "ALERT_WEBHOOK_URL",
    "ASSIGN_FEE_MAX",
    "ASSIGN_FEE_MIN",
    "ATES_DATA",
    "ATES_DEMO",
    "BUSINESS_TIMEZONE",
    "COMPLETION_REWARD_MAX",
    "COMPLETION_REWARD_MIN",
    "COOKIE_SECURE",
    "CURRENCY",
    "DATABASE_URL",
    "MAIL_FROM",
    "METRICS_TOKEN",
    "MIGRATION_DATABASE_URL",
    "OUTBOX_ARCHIVE_DIR",
    "OUTBOX_KEEP_DAYS",
    "PROXY_HOPS",
    "PUBLIC_URL",
    "REDIS_URL",
    "REGISTRATION",
    "SECRET_KEY",
    "SECRET_KEY_FALLBACKS",
    "SESSION_COOKIE_NAME",
    "SMTP_URL",
    "TRUSTED_HOSTS",
    "TZ",
)
# bin/ates looks at the lock for a moment, which is no reason not to start.
LOCK_TRIES = 5


@contextmanager
def held(data_dir: Path) -> Iterator[None]:
    """Make the folder if needed and hold it. Raises EmbeddedError if that is not possible.

    The kernel lets go of it when the process ends, however it ends.
    """
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(data_dir / "run.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise EmbeddedError(f"Data folder {data_dir} cannot be used: {error.strerror}.") from error
    try:
        if not _lock(lock):
            holder = os.pread(lock, 20, 0).decode(errors="replace").strip()
            raise EmbeddedError(
                f"Data folder {data_dir} is in use by process {holder}: set ATES_DATA to another.",
            )
        os.truncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        _environment(data_dir).unlink(missing_ok=True)
        try:
            yield
        finally:
            _environment(data_dir).unlink(missing_ok=True)
    finally:
        os.close(lock)


def is_held(data_dir: Path) -> bool:
    """Whether a bin/run holds the folder."""
    try:
        lock = os.open(data_dir / "run.lock", os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def publish(data_dir: Path, env: Mapping[str, str]) -> None:
    """Write the running system's environment for its owner alone; a shell can read it too."""
    aside = data_dir / "run.env.new"
    aside.unlink(missing_ok=True)
    handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.writelines(f"{name}={shlex.quote(env[name])}\n" for name in SHARED if name in env)
    aside.rename(_environment(data_dir))


def published(data_dir: Path) -> dict[str, str]:
    """The running system's environment; empty if nothing runs in this folder."""
    if not is_held(data_dir):
        return {}
    try:
        words = shlex.split(_environment(data_dir).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return dict(word.split("=", 1) for word in words)


def _lock(handle: int) -> bool:
    for _ in range(LOCK_TRIES):
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.05)
        else:
            return True
    return False


def _environment(data_dir: Path) -> Path:
    return data_dir / "run.env"
