"""A server that went away and came back: the first request after it is answered."""

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError

from app.kernel.db import db
from app.kernel.direct import first_row

END_OTHERS = """
SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity
WHERE datname = %s AND pid <> pg_backend_pid()
"""


@pytest.fixture
def end_connections(cluster, database):
    def end():
        with psycopg.connect(cluster.superuser_url(), autocommit=True) as connection:
            connection.execute(END_OTHERS, [database])

    return end


def test_pages_and_api_survive_a_restart_of_the_server(sign_in, api, make_user, end_connections):
    user = make_user()
    browser, program = sign_in(user), api(user)
    for _ in range(2):
        assert browser.get("/settings").status_code == 200
        assert program.get("/me/tasks").status_code == 200
        end_connections()


def test_errors_are_sqlalchemys(app, end_connections):
    with app.app_context():
        with pytest.raises(ProgrammingError) as refused:
            first_row(db.session(), text("SELECT nonsense"), {})
        assert isinstance(refused.value.orig, psycopg.errors.UndefinedColumn)
        db.session.rollback()
        assert first_row(db.session(), text("SELECT 1 WHERE :yes"), {"yes": True}) == (1,)
        assert first_row(db.session(), text("SELECT 1 WHERE :yes"), {"yes": False}) is None
        end_connections()
        with pytest.raises(DBAPIError) as lost:
            first_row(db.session(), text("SELECT 1"), {})
        assert isinstance(lost.value, OperationalError)
        assert lost.value.connection_invalidated
        db.session.rollback()
        assert first_row(db.session(), text("SELECT 1"), {}) == (1,)
