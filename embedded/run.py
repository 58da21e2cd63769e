"""bin/run: starts the whole of aTES on this machine and stops it again."""

import argparse
import contextlib
import os
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from types import FrameType

import psycopg
import redis

from embedded import data_folder
from embedded.errors import EmbeddedError
from embedded.keys import key
from embedded.postgres import Cluster
from embedded.process import Process
from embedded.programs import answer, migrate, programs, show
from embedded.settings import Settings, check_port_is_free, public_host
from embedded.supervisor import Supervisor
from embedded.valkey import Server

POSTGRES_VERSION_MIN = 18
CONNECT_TIMEOUT_S = 5
READY_TIMEOUT_S = 60.0
LOOK_EVERY_S = 0.1


def main() -> int:
    """Run until SIGINT or SIGTERM. Exit code 1 and one line on what could not be started."""
    argparse.ArgumentParser(
        prog="bin/run",
        description="Start aTES with a PostgreSQL and a Valkey of its own, until Ctrl-C.",
        epilog="It is set by environment variables, such as PORT and ATES_DEMO: see README.md.",
    ).parse_args()
    _on_stop(_interrupt)
    try:
        settings = Settings.from_env(os.environ)
        check_port_is_free(settings.port)
        with data_folder.held(settings.data_dir):
            run(settings)
    except EmbeddedError as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"{where}{error.strerror or error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


def run(settings: Settings) -> None:
    """Start everything, tell how to use it, and keep it running until KeyboardInterrupt."""
    began = time.monotonic()
    logs = settings.data_dir / "logs"
    logs.mkdir(mode=0o700, exist_ok=True)
    env = settings.app_env(os.environ)
    with _supervisor() as supervisor:
        _start_servers(settings, env, supervisor)
        env["SECRET_KEY"] = env.get("SECRET_KEY") or key(settings.data_dir, "secret-key")
        _say("Bringing the database's tables up to date")
        migrate(logs=logs, env=env)
        data_folder.publish(settings.data_dir, env)
        how_to_sign_in = _first_people(settings, env)
        _say("Starting web, worker and scheduler")
        web, *others = programs(settings.port, logs=logs, env=env)
        for program in (web, *others):
            supervisor.add_program(program)
        _wait_until_ready(settings, supervisor, host=public_host(env), web=web)
        _say(f"aTES is ready after {time.monotonic() - began:.0f} s at {env['PUBLIC_URL']}")
        print(f"\n{how_to_sign_in}\n\nData and logs: {settings.data_dir}", flush=True)
        print("Ctrl-C stops it.", flush=True)
        while True:
            time.sleep(LOOK_EVERY_S)
            supervisor.look()


@contextlib.contextmanager
def _supervisor() -> Iterator[Supervisor]:
    supervisor = Supervisor(tell=_say)

    def hurry(_signal: int, _frame: FrameType | None) -> None:
        supervisor.kill()

    try:
        yield supervisor
    finally:
        _on_stop(hurry)
        if supervisor.has_started:
            _say("Stopping")
        supervisor.stop()


def _start_servers(settings: Settings, env: dict[str, str], supervisor: Supervisor) -> None:
    """Start the servers that are not named, check those that are, and put both into `env`."""
    if settings.database_url:
        check_database(settings.database_url, "DATABASE_URL")
        if migration_url := env.get("MIGRATION_DATABASE_URL"):
            check_database(migration_url, "MIGRATION_DATABASE_URL")
    else:
        cluster = Cluster(settings.data_dir)
        new = "" if cluster.pgdata.exists() else " for the first time"
        _say(f"Starting PostgreSQL{new}")
        supervisor.add_server(cluster)
        env["DATABASE_URL"] = cluster.app_url()
        env["MIGRATION_DATABASE_URL"] = cluster.owner_url()
    if settings.redis_url:
        _check_redis(settings.redis_url)
    else:
        server = Server(settings.data_dir)
        _say("Starting Valkey")
        supervisor.add_server(server)
        env["REDIS_URL"] = server.url


def check_database(url: str, name: str) -> None:
    """Raise EmbeddedError, without a password in it, unless a new enough PostgreSQL answers."""
    try:
        with psycopg.connect(url, connect_timeout=CONNECT_TIMEOUT_S) as connection:
            version = connection.info.server_version // 10_000
    except psycopg.OperationalError as error:
        reason = str(error).strip().splitlines()[0]
        raise EmbeddedError(f"{name} cannot be reached: {reason}") from None
    except psycopg.Error:
        raise EmbeddedError(f"{name} is no address of a PostgreSQL database.") from None
    if version < POSTGRES_VERSION_MIN:
        raise EmbeddedError(
            f"{name} is PostgreSQL {version}: aTES needs {POSTGRES_VERSION_MIN} or newer.",
        )


def _check_redis(url: str) -> None:
    if "+sentinel://" in url:  # the app reads such an address, and waits for who is named there
        return
    try:
        with redis.Redis.from_url(url, socket_connect_timeout=2, socket_timeout=2) as client:
            client.ping()
    except ValueError:
        raise EmbeddedError("REDIS_URL must begin with redis://, rediss:// or unix://.") from None
    except redis.RedisError as error:
        _say(f"REDIS_URL cannot be reached ({error}): aTES starts, events are posted when it can.")


def _first_people(settings: Settings, env: dict[str, str]) -> str:
    """Make those who can sign in first; what to tell about them."""
    if settings.demo:
        show("demo", "seed", env=env)
        return (
            f"Sign in as one of (login, role, password):\n{answer(['demo', 'accounts'], env=env)}"
        )
    if _has_administrator(env["DATABASE_URL"]):
        return "Sign in with your login and password."
    if settings.admin_login and settings.admin_email and settings.admin_password:
        options = ["--email", settings.admin_email, "--role", "administrator", "--password-stdin"]
        create = ["user", "create", settings.admin_login, *options]
        answer(create, env=env, given=settings.admin_password + "\n")
        return f"Sign in as {settings.admin_login}, the first administrator."
    link = answer(["user", "invite-first-admin"], env=env)
    return f"Make the first administrator by this link, which works once:\n{link}"


def _has_administrator(database_url: str) -> bool:
    statement = "SELECT FROM users WHERE role = 'administrator' AND is_active LIMIT 1"
    with psycopg.connect(database_url, connect_timeout=CONNECT_TIMEOUT_S) as connection:
        return connection.execute(statement).fetchone() is not None


def _wait_until_ready(
    settings: Settings,
    supervisor: Supervisor,
    *,
    host: str,
    web: Process,
) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    request = urllib.request.Request(f"{settings.address}/readyz", headers={"Host": host})  # noqa: S310
    reason = "no answer"
    while time.monotonic() < deadline:
        supervisor.look()
        try:
            with urllib.request.urlopen(request, timeout=CONNECT_TIMEOUT_S):  # noqa: S310 -- ours
                return
        except urllib.error.HTTPError as error:
            reason = error.read(500).decode(errors="replace")
        except OSError as error:
            reason = f"{error}; {web.last_words('Error')}"
        time.sleep(LOOK_EVERY_S)
    raise EmbeddedError(f"aTES is not ready after {READY_TIMEOUT_S:.0f} s: {reason} ({web.log})")


def _on_stop(handler: Callable[[int, FrameType | None], None]) -> None:
    signal.signal(signal.SIGINT, handler)
    signal.signal(signal.SIGTERM, handler)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup asks to outlive the terminal
        signal.signal(signal.SIGHUP, handler)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _say(what: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {what}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
