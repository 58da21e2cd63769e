"""Kanboard as a peer: a checkout of it, on PHP's own server with opcache, with tasks in SQLite.

Nothing of it is kept here: the environment variable KANBOARD names the checkout, which is copied,
and PHP has to be on PATH (on Debian: php-cli php-sqlite3 php-mbstring php-xml php-gd php-curl).
"""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.cookiejar import CookieJar
from pathlib import Path

from bench.served import free_port, wait_until_ready
from embedded.process import Process

WORKERS = "2"
LIST = "/index.php?controller=TaskListController&action=show&project_id=1"
SIGN_IN = "/index.php?controller=AuthController&action="
TOKEN = re.compile(r'name="csrf_token" value="([0-9a-f]+)"')


@contextmanager
def served(checkout: Path, folder: Path, *, tasks: int, people: int) -> Iterator[tuple[int, str]]:
    """Its port with a project of `tasks` tasks of `people`, and its administrator's Cookie header.

    The list's filter offers the people, as the board's does.
    """
    home = folder / "kanboard"
    shutil.copytree(checkout, home)
    port = free_port()
    options = ["-d", "opcache.enable_cli=1", "-S", f"127.0.0.1:{port}", "-t", str(home)]
    env = {**os.environ, "PHP_CLI_SERVER_WORKERS": WORKERS}
    server = Process("kanboard", ["php", *options], log=folder / "kanboard.log", env=env, cwd=home)
    server.start()
    try:
        wait_until_ready(port, server, "/index.php")
        _fill(home / "data" / "db.sqlite", tasks, people)
        yield port, _signed_in(port)
    finally:
        server.stop()


def _fill(file: Path, tasks: int, people: int) -> None:
    now = int(time.time())
    with sqlite3.connect(file) as database:
        database.execute("INSERT INTO projects (id, name, is_active) VALUES (1, 'Bench', 1)")
        for number, title in enumerate(("Backlog", "Ready", "Work", "Done"), 1):
            values = (number, title, number)
            database.execute(
                "INSERT INTO columns (id, title, position, project_id) VALUES (?, ?, ?, 1)", values
            )
        database.execute(
            "INSERT INTO swimlanes (id, name, position, is_active, project_id)"
            " VALUES (1, 'Default', 1, 1, 1)"
        )
        members = range(2, people + 2)
        database.executemany(
            "INSERT INTO users (id, username, role) VALUES (?, ?, 'app-user')",
            [(number, f"person-{number}") for number in members],
        )
        database.executemany(
            "INSERT INTO project_has_users (project_id, user_id, role)"
            " VALUES (1, ?, 'project-member')",
            [(number,) for number in members],
        )
        database.executemany(
            "INSERT INTO tasks (title, date_creation, color_id, project_id, column_id, owner_id,"
            " creator_id, position, is_active, date_modification, date_moved, swimlane_id)"
            f" VALUES (?, {now}, 'yellow', 1, ?, ?, 1, ?, 1, {now}, {now}, 1)",
            [
                (
                    f"Mend the fence at gate number {number}",
                    1 + number % 4,
                    members[number % people],
                    number,
                )
                for number in range(1, tasks + 1)
            ],
        )


def _signed_in(port: int) -> str:
    cookies = CookieJar()
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(cookies))
    address = f"http://127.0.0.1:{port}{SIGN_IN}"
    token = TOKEN.search(browser.open(f"{address}login").read().decode())
    assert token, "no form to sign in"
    form = {"csrf_token": token[1], "username": "admin", "password": "admin"}
    browser.open(f"{address}check", urllib.parse.urlencode(form).encode())
    return "; ".join(f"{cookie.name}={cookie.value}" for cookie in cookies)
