"""A connection that is lost at an awkward moment: closing, and a commit that a standby may lack."""

from __future__ import annotations

import psycopg
import pytest
from flask import Flask

from app.kernel import db as kernel_db
from app.kernel.db import db, in_transaction, sql
from app.kernel.errors import OutcomeUnknown
from embedded.postgres import Cluster

# Each insert warns when its transaction commits, as a cancelled wait for a standby does.
WARN = """
CREATE FUNCTION warn() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE WARNING 'canceling wait for synchronous replication'; RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER warn AFTER INSERT ON schedule_ticks DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION warn()
"""
TICK = sql("INSERT INTO schedule_ticks (name, tick) VALUES ('test', now())")


def test_a_session_whose_server_process_has_died_can_be_closed(
    app: Flask, cluster: Cluster, database: str
) -> None:
    with app.app_context():
        pid = db.session.execute(sql("SELECT pg_backend_pid()")).scalar_one()
        with psycopg.connect(cluster.superuser_url(database), autocommit=True) as superuser:
            superuser.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
        db.session.remove()

        assert db.session.execute(sql("SELECT 1")).scalar_one() == 1


def test_a_commit_that_was_answered_with_a_warning_is_not_a_success(
    app: Flask, cluster: Cluster, database: str
) -> None:
    rang = []
    with psycopg.connect(cluster.superuser_url(database), autocommit=True) as superuser:
        superuser.execute(WARN)
    with app.app_context():

        def work(session: object) -> None:
            kernel_db.after_commit(db.session(), lambda: rang.append("bell"))
            db.session.execute(TICK)

        with pytest.raises(OutcomeUnknown):
            in_transaction(work)
        assert in_transaction(lambda session: "the next is not in doubt") is not None
    assert rang == []


def test_a_server_that_the_network_took_away_is_noticed_before_a_client_gives_up(
    app: Flask,
) -> None:
    with app.app_context():
        connection = db.session.connection().connection.driver_connection
        assert isinstance(connection, psycopg.Connection)
        given = connection.info.get_parameters()
        db.session.rollback()

    idle, interval, count = (int(given[f"keepalives_{w}"]) for w in ("idle", "interval", "count"))
    assert int(given["tcp_user_timeout"]) <= 5_000  # unacknowledged, in ms
    assert idle + interval * count <= 10
