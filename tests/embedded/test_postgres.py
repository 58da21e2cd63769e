"""The embedded PostgreSQL: made once, safe by default, back after a crash."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from embedded import pgdata
from embedded.errors import EmbeddedError
from embedded.postgres import APP_ROLE, DATABASE, OWNER_ROLE, Cluster


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("a cluster"), durable=False) as cluster:
        yield cluster


def one(url: str, statement: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute(statement).fetchone()
    assert row
    return row[0]


def test_owner_owns_the_database_and_app_may_only_connect(cluster):
    assert one(cluster.owner_url(), "SELECT current_user") == OWNER_ROLE
    assert one(cluster.app_url(), "SELECT current_user") == APP_ROLE
    assert one(cluster.app_url(), "SELECT current_database()") == DATABASE
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        one(cluster.app_url(), "CREATE TABLE mine (id int)")
    for role in (OWNER_ROLE, APP_ROLE):
        rights = "SELECT rolsuper OR rolcreaterole OR rolcreatedb FROM pg_roles WHERE rolname = "
        assert one(cluster.app_url(), f"{rights}'{role}'") is False


@pytest.mark.parametrize("privilege", ["SET", "USAGE"])
def test_owner_may_take_the_role_of_the_app_and_see_its_sessions(cluster, privilege):
    may = f"SELECT pg_has_role('{OWNER_ROLE}', '{APP_ROLE}', '{privilege}')"
    assert one(cluster.owner_url(), may) is True


def test_asks_for_a_password_and_listens_on_no_port(cluster):
    wrong = cluster.app_url().replace(":", ":wrong", 2).replace("postgresql:wrong", "postgresql:")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(wrong)
    assert one(cluster.superuser_url(), "SHOW listen_addresses") == ""
    assert cluster.socket_folder.stat().st_mode & 0o077 == 0


def test_copies_a_template_and_keeps_it_closed_to_others(cluster):
    with psycopg.connect(cluster.owner_url()) as connection:
        connection.execute("CREATE TABLE copied (id int)")
    cluster.create_database("copy", template=DATABASE)
    assert one(cluster.owner_url("copy"), "SELECT count(*) FROM copied") == 0
    with psycopg.connect(cluster.superuser_url("copy")) as connection:
        rights = connection.execute("SELECT datacl FROM pg_database WHERE datname = 'copy'")
        assert rights.fetchone() == (["ates_owner=CTc/ates_owner", "ates_app=c/ates_owner"],)


def test_committed_rows_survive_a_kill_and_the_address_stays(tmp_path):
    with Cluster(tmp_path) as cluster:
        url = cluster.owner_url()
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 42 AS id")
        assert one(url, "SHOW fsync") == "on"
        assert one(url, "SHOW synchronous_commit") == "on"
        assert one(url, "SHOW data_checksums") == "on"
        cluster.kill9()
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(url)
        cluster.start()
        assert one(url, "SELECT id FROM kept") == 42
    assert not cluster.is_running()
    assert not cluster.socket_folder.exists()


def test_throwaway_only_when_asked(cluster):
    assert one(cluster.superuser_url(), "SHOW fsync") == "off"


def test_works_below_a_path_longer_than_a_socket_may_have(tmp_path):
    deep = tmp_path / ("long " * 20) / ("longer " * 10)
    with Cluster(deep, durable=False) as cluster:
        assert one(cluster.app_url(), "SELECT 1") == 1


def test_a_second_server_in_the_same_folder_is_refused(cluster, monkeypatch):
    monkeypatch.setattr(pgdata, "PREDECESSOR_TIMEOUT_S", 0.1)
    with pytest.raises(EmbeddedError, match=f"already runs in .* \\(process {cluster.pid}\\)"):
        Cluster(cluster.data_dir, durable=False).start()
    assert one(cluster.app_url(), "SELECT 1") == 1


def test_a_making_that_was_cut_off_is_made_again(tmp_path):
    half = tmp_path / "postgres.new"
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")
    with Cluster(tmp_path, durable=False) as cluster:
        assert one(cluster.app_url(), "SELECT 1") == 1
    assert not half.exists()


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({}, "is not a PostgreSQL data folder"),
        ({"PG_VERSION": "17\n"}, "was made by PostgreSQL 17, this is 18"),
        ({"PG_VERSION": "18\n"}, "does not start in"),
    ],
)
def test_a_broken_data_folder_is_told_in_one_line(tmp_path, files, told):
    folder = tmp_path / "postgres"
    folder.mkdir(mode=0o700)
    for name, text in files.items():
        (folder / name).write_text(text)
    with pytest.raises(EmbeddedError, match=told) as error:
        Cluster(tmp_path, durable=False).start()
    assert "\n" not in str(error.value)


def test_a_machine_without_the_wheel_is_told_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(pgdata, "INSTALLED", Path("/nonexistent"))
    with pytest.raises(EmbeddedError, match="set DATABASE_URL"):
        Cluster(tmp_path, durable=False).start()


def test_the_wheel_brings_the_programs_that_operators_need():
    for name in ("psql", "pg_basebackup", "pg_rewind", "pg_verifybackup", "pg_amcheck"):
        assert shutil.which(pgdata.program(name))
