"""A restored copy: its cursors are set right, whatever the system's state was at that moment."""

from __future__ import annotations

import psycopg
import pytest

from embedded import backups
from embedded.errors import EmbeddedError
from embedded.postgres import Cluster

STOP = """
UPDATE system_state SET status = 'stopped', incident = 'TEST-1', reason = 'a test',
  origin = 'command line'
"""
BEYOND = "INSERT INTO outbox_cursors (consumer, xid, id) VALUES ('accounting', '999999999', 7)"
EPOCHS = "SELECT array_agg(DISTINCT epoch) FROM outbox_cursors"


def test_the_epoch_is_raised_where_changes_were_stopped(cluster: Cluster, database: str) -> None:
    with psycopg.connect(cluster.superuser_url(database), autocommit=True) as connection:
        connection.execute("INSERT INTO outbox_cursors (consumer) VALUES ('accounting')")
        connection.execute(STOP)
        with pytest.raises(psycopg.Error, match="changes are stopped"):
            connection.execute(backups.NEXT_EPOCH)
        backups.set_cursors_right(connection)
        assert connection.execute(EPOCHS).fetchone() == ([2],)
        with pytest.raises(psycopg.Error, match="changes are stopped"):
            connection.execute(backups.NEXT_EPOCH)


def test_a_cursor_beyond_the_log_is_refused(cluster: Cluster, database: str) -> None:
    with psycopg.connect(cluster.superuser_url(database), autocommit=True) as connection:
        connection.execute(BEYOND)
        with pytest.raises(EmbeddedError, match="accounting are beyond the log"):
            backups.set_cursors_right(connection)
        assert connection.execute(EPOCHS).fetchone() == ([1],)


def test_a_database_without_a_log_is_left_as_it_is(cluster: Cluster) -> None:
    with psycopg.connect(cluster.superuser_url(), autocommit=True) as connection:
        backups.set_cursors_right(connection)
