"""Each of the guardian's checks: silent on a sound company, and loud when its rule is broken."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from app.guardian.checks import BY_NAME, CHECKS
from app.guardian.commands import check_everything, check_increment
from embedded.postgres import Cluster
from tests.company import Company
from tests.conftest import User
from tests.guardian.played import play
from tests.guardian.sabotage import ONLY_AT_NIGHT, SABOTAGE

# What a test cannot bring about on one server with its own clock; tried by hand, see the docs.
WITHOUT_CONTROL = {"no transaction is too old", "standbys follow"}
# What no statement can break: see test_damaged_page.py.
WITHOUT_CONTROL |= {"no page of the database is damaged"}


# All that there is, as an increment: from the beginning to what nobody has written yet.
WINDOW = {
    "events_from": "0",
    "events_from_id": 0,
    "transfers_from": "0",
    "transfers_to": "9000000000000000000",
    "slice_after": 0,
    "slice": 500,
}
CURSOR = sa.text(
    "SELECT xid::text AS events_to, id AS events_to_id FROM outbox_cursors"
    " WHERE consumer = 'accounting'"
)


@pytest.fixture
def saboteur(
    app: Flask, cluster: Cluster, database: str, make_user: Callable[..., User]
) -> Iterator[sa.Connection]:
    """A superuser whom no trigger or foreign key holds back, on a company that has worked."""
    play(app, make_user)
    engine = sa.create_engine(
        cluster.superuser_url(database).replace("postgresql:", "postgresql+psycopg:"),
        connect_args={"options": "-c session_replication_role=replica"},
    )
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def test_a_sound_company_has_no_findings(
    app: Flask, call: Callable[..., Any], make_user: Callable[..., User], company: Company
) -> None:
    play(app, make_user)
    assert call(check_increment) == []
    assert call(check_everything) == []
    errors = company.rows("SELECT check_name, error FROM guardian_results WHERE error IS NOT NULL")
    assert errors == []


def test_every_check_has_a_control() -> None:
    assert SABOTAGE.keys() | WITHOUT_CONTROL == BY_NAME.keys()
    assert len(BY_NAME) == len(CHECKS), "names are unique"
    for check in CHECKS:
        assert 0 < len(check.name) <= 100
        assert check.means
        assert check.to_do


def test_the_whole_finds_each_broken_rule(saboteur: sa.Connection) -> None:
    for name, sabotage in SABOTAGE.items():
        check = BY_NAME[name]
        assert not _broken(saboteur, check.whole, {}), name
        _break(saboteur, sabotage)
        assert _broken(saboteur, check.whole, {}), f"not found: {name}"
        saboteur.rollback()


def test_the_increment_finds_each_rule_broken_in_it(saboteur: sa.Connection) -> None:
    window = {**WINDOW, **saboteur.execute(CURSOR).one()._mapping}
    for name in SABOTAGE.keys() - ONLY_AT_NIGHT.keys():
        increment = BY_NAME[name].increment
        assert increment
        assert not _broken(saboteur, increment, window), name
        _break(saboteur, SABOTAGE[name])
        assert _broken(saboteur, increment, window), f"not found: {name}"
        saboteur.rollback()


def _break(connection: sa.Connection, sabotage: str) -> None:
    done = connection.execute(sa.text(sabotage))
    assert done.rowcount != 0, f"nothing was broken: {sabotage}"


def _broken(connection: sa.Connection, statement: str, window: dict[str, Any]) -> list[Any]:
    return list(connection.execute(sa.text(statement), window).all())
