"""aTES under the gunicorn of `bin/run`, with its settings, and somebody signed in to it."""

from __future__ import annotations

import secrets
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from flask import Flask
from flask.sessions import SecureCookieSessionInterface

from app.auth.commands import open_session
from app.kernel.db import db
from bench.stage import Stage
from embedded.process import Process
from embedded.programs import programs

OURS = "web:app"
READY_TIMEOUT_S = 120.0


@contextmanager
def served(stage: Stage, database: str, side: str = OURS) -> Iterator[int]:
    """The port of gunicorn with the settings of bin/run, serving `side` on `database`."""
    port = free_port()
    web, *_ = programs(port, logs=stage.logs, env=stage.env(database))
    command = [side if word == OURS else word for word in web.command]
    assert side in command
    server = Process("web", command, log=web.log, env=web.env, cwd=web.cwd)
    server.start()
    try:
        wait_until_ready(port, server)
        yield port
    finally:
        server.stop()


def wait_until_ready(port: int, server: Process, path: str = "/readyz") -> None:
    """Wait until `path` answers. Raises AssertionError when it does not."""
    deadline = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < deadline and server.is_running():
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5):
                return
        except (OSError, urllib.error.HTTPError):
            time.sleep(0.1)
    raise AssertionError(f"not ready: {server.last_words('Error')}")


def free_port() -> int:
    """A port of the loopback address that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def cookie_of(app: Flask, login: str) -> str:
    """The Cookie header of a browser in which `login` has just signed in; in an app context."""
    words = {"login": login}
    user_id = db.session.execute(db.text("SELECT id FROM users WHERE login = :login"), words)
    session_id = open_session(user_id.scalar_one(), user_agent="bench")
    serializer = SecureCookieSessionInterface().get_signing_serializer(app)
    assert serializer is not None
    # With the secret of its CSRF tokens, which its first page brought.
    csrf_secret = secrets.token_hex(20)
    cookie = serializer.dumps(
        {"_user_id": session_id, "_permanent": True, "csrf_token": csrf_secret}
    )
    return f"{app.config['SESSION_COOKIE_NAME']}={cookie}"
