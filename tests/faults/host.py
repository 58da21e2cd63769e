"""bin/run as the rig starts it: each program through tests/faults/wrapped.py, quickly restarted.

A server, or a program, is held down while a file `hold-<name>` lies in the data folder. The
database `ates_empty`, migrated and with people but no tasks, is there to be copied.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from app import create_app
from app.auth.commands import issue_token
from app.kernel.db import db, sql
from app.kernel.policy import Role
from app.kernel.settings import Settings
from embedded import programs, run, supervisor
from embedded.errors import EmbeddedError
from embedded.postgres import Cluster
from embedded.process import Process
from embedded.valkey import Server

WRAPPED = Path(__file__).with_name("wrapped.py")
EMPTY = "ates_empty"
PEOPLE = {
    "mary": Role.MANAGER,
    "ann": Role.ACCOUNTANT,
    **{f"parrot{number}": Role.DEVELOPER for number in range(8)},
}
INSERT_PERSON = sql("""
INSERT INTO users (role, login, email, hash)
VALUES (CAST(:role AS user_role), :login, :login || '@ates.example', '$argon2id$unused')
RETURNING id
""")


def main() -> int:
    """Run until a signal comes, as bin/run does."""
    supervisor.BACKOFF_S_MAX = 0.5  # the rig kills on purpose, again and again
    migrate, start_programs = run.migrate, run.programs

    def migrate_and_hire(*, logs: Path, env: Mapping[str, str]) -> None:
        migrate(logs=logs, env=env)
        _hire(env)

    def wrapped(port: int, *, logs: Path, env: Mapping[str, str]) -> list[Process]:
        found = start_programs(port, logs=logs, env=env)
        for program in found:
            program.command = programs.python(str(WRAPPED), *program.command[2:])
            _let_hold_program(program, Path(env["ATES_DATA"]))
        return found

    run.migrate, run.programs = migrate_and_hire, wrapped  # type: ignore[assignment]
    _let_hold(Cluster, "postgres")
    _let_hold(Server, "valkey")
    return run.main()


def _let_hold(server: type[Cluster | Server], name: str) -> None:
    start = server.start

    def start_unless_held(self: Cluster | Server) -> None:
        if (self.data_dir / f"hold-{name}").exists():
            raise EmbeddedError(f"{name} is held down")
        start(self)  # type: ignore[arg-type]

    server.start = start_unless_held  # type: ignore[assignment,method-assign]


def _let_hold_program(program: Process, data_dir: Path) -> None:
    start = program.start

    def start_unless_held() -> None:
        if (data_dir / f"hold-{program.name}").exists():
            raise EmbeddedError(f"{program.name} is held down")
        start()

    program.start = start_unless_held  # type: ignore[method-assign]


def _hire(env: Mapping[str, str]) -> None:
    settings = Settings.from_env(env)
    data_dir = settings.data_dir
    with create_app(settings, process="worker").app_context():
        tokens = {}
        for login, role in PEOPLE.items():
            values = {"login": login, "role": role.value}
            user_id = db.session.execute(INSERT_PERSON, values).scalar_one()
            db.session.commit()
            issued = issue_token(None, user_id=user_id, name="rig", lifetime=timedelta(days=7))
            tokens[login] = [user_id, issued.token]
        db.session.remove()
        db.engine.dispose()
    (data_dir / "tokens.json").write_text(json.dumps(tokens))
    if "DATABASE_URL" not in os.environ:  # and so is the embedded one
        Cluster(data_dir).create_database(EMPTY, "ates")


if __name__ == "__main__":
    sys.exit(main())
