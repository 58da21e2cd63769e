"""A page that the disk changed is never served; the guardian sees it and stops changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest
from flask import Flask
from sqlalchemy.exc import DBAPIError

from app import create_app
from app.accounting import commands as accounting
from app.auth.commands import issue_token
from app.guardian.jobs import guard
from app.kernel.db import db
from app.kernel.policy import Role
from app.kernel.settings import Settings
from app.outbox import relay
from app.tasks import commands as tasks
from app.tasks.models import Draft
from embedded.postgres import Cluster
from tests.conftest import Api, User

COPY = "ates_damaged"
PAGE = 8192


@pytest.fixture
def damaged(
    app: Flask, cluster: Cluster, database: str, make_user: Callable[..., User]
) -> Iterator[User]:
    """A copy of a company by its files, with another bit in each page of transfers; its accountant.

    Of a copied file PostgreSQL has read nothing yet.
    """
    manager, accountant = make_user(Role.MANAGER), make_user(Role.ACCOUNTANT)
    make_user()
    with app.app_context():
        tasks.create_tasks(manager.actor, [Draft(f"Task {n}") for n in range(5)])
        relay.drain(accounting.ACCOUNTING)
    with psycopg.connect(cluster.superuser_url(), autocommit=True) as superuser:
        others = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s"
        superuser.execute(others, [database])
        superuser.execute(f"CREATE DATABASE {COPY} TEMPLATE {database} STRATEGY file_copy")
        superuser.execute(f"GRANT CONNECT ON DATABASE {COPY} TO ates_app")
        try:
            with psycopg.connect(cluster.superuser_url(COPY)) as connection:
                path = "SELECT pg_relation_filepath('account_transfers')"
                [(found,)] = connection.execute(path).fetchall()
            file = cluster.pgdata / found
            data = bytearray(file.read_bytes())
            for end in range(PAGE, len(data) + 1, PAGE):  # wherever the first transfer lies
                data[end - 20] ^= 1
            file.write_bytes(data)
            yield accountant
        finally:
            superuser.execute(f"DROP DATABASE {COPY} WITH (FORCE)")


def test_it_is_answered_503_and_stops_changes(
    damaged: User, settings: Settings, cluster: Cluster
) -> None:
    app = create_app(replace(settings, database_url=cluster.app_url(COPY)))
    with app.app_context():
        day = timedelta(days=1)
        token = issue_token(None, user_id=damaged.id, name="test", lifetime=day).token
    answer = Api(app, token).get("/transfers")
    with app.app_context():
        with pytest.raises(DBAPIError, match="invalid page"):  # which it needs to be finished
            guard()
        db.session.remove()
        db.engine.dispose()
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]
    with psycopg.connect(cluster.superuser_url(COPY)) as connection:
        state = "SELECT status::text, reason FROM system_state"
        [(status, reason)] = connection.execute(state).fetchall()
    assert status == "stopped"
    assert "no page of the database is damaged" in reason
