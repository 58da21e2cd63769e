"""The limit that completing a task over HTTP is measured against: Flask, psycopg, and no more.

The same two statements, in one transaction, on a connection of a pool: who has the token, and the
completion with its log row and event. No session, no policy, no checks of the request, no headers,
no idempotency, no log, no bell.
"""

from __future__ import annotations

import hashlib
import os

from flask import Flask, abort, request
from flask.typing import ResponseReturnValue
from psycopg_pool import ConnectionPool
from sqlalchemy import TextClause
from sqlalchemy.dialects import postgresql

from app.kernel.db import engine_options
from app.tasks.commands import COMPLETE_TASK
from app.web.sessions import TOKEN_USER


def create_app() -> Flask:
    """The app with one route, for gunicorn."""
    app = Flask(__name__)
    options = engine_options("web")
    pool = ConnectionPool(
        os.environ["DATABASE_URL"],
        min_size=8,
        max_size=options["pool_size"] + options["max_overflow"],
        kwargs=options["connect_args"],
        open=True,
    )
    token_user, complete_task = _psycopg(TOKEN_USER), _psycopg(COMPLETE_TASK)

    @app.post("/api/v1/tasks/<int:task_id>/completion")
    def complete(task_id: int) -> ResponseReturnValue:
        token = request.headers["Authorization"].removeprefix("Bearer ")
        key = {"id_hash": hashlib.sha256(token.encode()).digest()}
        with pool.connection() as connection:
            user = connection.execute(token_user, key).fetchone()
            if user is None:
                abort(401)
            names = {"task_id": task_id, "actor_id": user[0]}
            if connection.execute(complete_task, names).fetchone() is None:
                abort(409)
        return {"id": task_id, "assigned_to": user[0], "is_finished": True}

    @app.get("/readyz")
    def ready() -> ResponseReturnValue:
        return {"status": "ready"}

    return app


def _psycopg(statement: TextClause) -> str:
    return str(statement.compile(dialect=postgresql.psycopg.dialect()))  # type: ignore[no-untyped-call]
