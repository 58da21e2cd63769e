"""The containers run the same programs with the same settings as everything else."""

import os
import re
import subprocess
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import psycopg
import pytest
import yaml

from app.kernel.settings import Settings
from embedded import data_folder, pgdata
from embedded.postgres import Cluster

ROOT = Path(__file__).parents[2]
COMPOSE_TEXT = (ROOT / "docker-compose.yml").read_text()
DOCKERFILE = (ROOT / "Dockerfile").read_text()
VARIABLE = re.compile(r"(?<!\$)\$\{([A-Z_]+):([-?])([^}]*)\}")
SECRETS = {
    "ATES_APP_PASSWORD",
    "ATES_OWNER_PASSWORD",
    "POSTGRES_PASSWORD",
    "SECRET_KEY",
    "VALKEY_PASSWORD",
}
# What a container and a command beside a running system do not need.
FOR_DEVELOPERS = {"ATES_DEV"}
APP_SERVICES = {"web", "worker", "scheduler", "migrate"}


def substituted(text: str) -> str:
    """What Compose makes of it when each secret is given and nothing else."""
    return VARIABLE.sub(lambda found: "s" * 40 if found[2] == "?" else found[3], text)


COMPOSE = yaml.safe_load(substituted(COMPOSE_TEXT))
SERVICES = COMPOSE["services"]


class Recording(dict[str, str]):
    """An environment that remembers what it was asked for."""

    def __init__(self, values: dict[str, str]) -> None:
        super().__init__(values)
        self.asked: set[str] = set()

    def get(self, name, default=None):
        self.asked.add(name)
        return super().get(name, default)


def environment(service: str) -> Recording:
    given = SERVICES[service]["environment"]
    return Recording({name: str(value) for name, value in given.items() if value is not None})


def test_every_part_of_the_system_is_a_service():
    assert set(SERVICES) == APP_SERVICES | {"postgres", "valkey", "mail"}
    for name in ("worker", "scheduler"):
        assert SERVICES[name]["command"] == ["python", f"{name}.py"]
        assert (ROOT / f"{name}.py").exists()
    assert SERVICES["migrate"]["command"][:3] == ["flask", "--app", "app"]
    assert '"gunicorn", "web:app"' in DOCKERFILE
    assert (ROOT / "web.py").exists()


@pytest.mark.parametrize("service", sorted(APP_SERVICES))
def test_the_app_reads_each_variable_and_accepts_its_default(service):
    env = environment(service)
    settings = Settings.from_env(env)
    # Every setting can be given, and no variable is given in vain.
    given = set(SERVICES[service]["environment"])
    assert given | {"ATES_DATA", "MIGRATION_DATABASE_URL"} == env.asked - FOR_DEVELOPERS
    assert not settings.demo
    assert ("ates_owner" in settings.migration_database_url) == (service == "migrate")
    assert "ates_app" in settings.database_url


def test_what_commands_share_with_a_running_system_is_what_the_app_reads():
    env = environment("web")
    Settings.from_env(env)
    assert env.asked - FOR_DEVELOPERS == set(data_folder.SHARED) - {"TZ"}


def test_secrets_have_no_default():
    required = {name for name, kind, _ in VARIABLE.findall(COMPOSE_TEXT) if kind == "?"}
    assert required == SECRETS
    for name, kind, default in VARIABLE.findall(COMPOSE_TEXT):
        assert kind == "?" or not re.search("PASSWORD|SECRET_KEY$", name), (name, default)


def test_only_this_machine_reaches_the_published_ports():
    for service in SERVICES.values():
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:")


def test_the_app_waits_for_what_it_needs():
    for name in APP_SERVICES - {"migrate"}:
        needs = SERVICES[name]["depends_on"]
        assert needs["migrate"]["condition"] == "service_completed_successfully"
        assert needs["postgres"]["condition"] == needs["valkey"]["condition"] == "service_healthy"
    assert {"healthcheck"} <= set(SERVICES["postgres"]) & set(SERVICES["valkey"])
    assert "HEALTHCHECK" in DOCKERFILE


def test_the_image_runs_as_nobody_in_particular_and_installs_from_the_lock():
    assert re.findall(r"^USER (.+)$", DOCKERFILE, re.MULTILINE) == ["ates"]
    assert "--require-hashes" in DOCKERFILE
    assert "npm ci" in DOCKERFILE
    for name in APP_SERVICES:
        assert SERVICES[name]["cap_drop"] == ["ALL"]
        assert SERVICES[name]["read_only"] is True


def test_what_the_image_copies_is_let_through():
    let_through = {
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"
    }
    for needed in (
        "app",
        "migrations",
        "templates",
        "static",
        "web.py",
        "worker.py",
        "requirements.txt",
    ):
        assert needed in let_through
    for path in let_through - {"translations"}:
        assert (ROOT / path).exists(), path


def test_the_roles_of_the_container_are_those_of_the_embedded_server(tmp_path):
    with Cluster(tmp_path, durable=False) as cluster:
        with psycopg.connect(cluster.superuser_url(), autocommit=True) as connection:
            connection.execute("DROP DATABASE ates")
            connection.execute("DROP ROLE ates_app")
            connection.execute("DROP ROLE ates_owner")
        superuser = urlsplit(cluster.superuser_url())
        done = subprocess.run(
            ["/bin/sh", ROOT / "docker" / "create-roles.sh"],
            env={
                "PATH": f"{pgdata.program('psql').parent}:{os.defpath}",
                "POSTGRES_USER": "postgres",
                "PGPASSWORD": unquote(superuser.password or ""),
                "PGHOST": parse_qs(superuser.query)["host"][0],
                "ATES_OWNER_PASSWORD": "it's the owner's",
                "ATES_APP_PASSWORD": "and the app's",
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        options = {"host": str(cluster.socket_folder), "dbname": "ates"}
        with psycopg.connect(user="ates_owner", password="it's the owner's", **options) as owner:
            owner.execute("CREATE TABLE kept (id int)")
        app = psycopg.connect(user="ates_app", password="and the app's", **options)
        with app, pytest.raises(psycopg.errors.InsufficientPrivilege):
            app.execute("SELECT * FROM kept")
