"""Fixtures for every test: a real PostgreSQL, migrated once, and a fresh copy of it for each test.

app        an application on a database of its own, empty but migrated
settings   the app's settings; make_app(registration_open=False) makes an app with others
session    a SQLAlchemy session beside the app, as its role, in autocommit: for looking at rows
owner_url  the same database as its owner, for faults
call       call(command, …) runs a command or query in the app's context
make_user  make_user(role="developer", login=None): a user with id, login, role, actor, password
client     Flask's test client, nobody signed in
sign_in    sign_in(user): a browser with a session: .get(url), .post(url, {…}) with the CSRF
           token; both with htmx=True if wanted
anonymous  the same, nobody signed in; new_browser() makes more of these
api        api(user): the REST API with a token of that user: .get("/me/tasks"),
           .post(url, {…}, key="…"), .delete(url); api(None) sends no token
valkey     a running Valkey. Redis is away in all other tests, and nothing but the doorbell may
           notice; a module that needs it overrides redis_url to return valkey.url

Do not hold an app context open around requests: Flask would share `g`, and so who is signed in.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from flask_migrate import upgrade
from hypothesis import settings as hypothesis_settings
from itsdangerous import URLSafeTimedSerializer
from jinja2.bccache import Bucket, BytecodeCache
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse
from xdist.scheduler import LoadScopeScheduling

from app import create_app
from app.auth import commands, passwords
from app.kernel import settings as kernel_settings
from app.kernel.actor import Actor
from app.kernel.db import db
from app.kernel.policy import Role
from app.kernel.settings import Settings
from app.outbox import doorbell
from app.web import kept
from embedded.postgres import Cluster
from embedded.valkey import Server
from tests.databases import TEMPLATE, Databases

# No test is about how long this machine took.
hypothesis_settings.register_profile("untimed", deadline=None)
hypothesis_settings.load_profile("untimed")

PASSWORD = "eleven tulips under a bridge"
# The files that take longest, to begin with; within a file the order stays.
LONG = ("tests/faults/test_faults", "tests/browser", "tests/embedded/test_run", "tests/flows")
NO_REDIS = "unix:///nonexistent/valkey.sock"
INSERT_USER = sa.text("""
INSERT INTO users (role, login, email, hash)
VALUES (CAST(:role AS user_role), :login, :login || '@ates.test', :hash) RETURNING id
""")


@dataclass(frozen=True)
class User:
    """Somebody who was made for a test."""

    id: int
    login: str
    role: Role
    password: str = PASSWORD

    @property
    def actor(self) -> Actor:
        return Actor(self.id, self.login, self.role)


class ByFile(LoadScopeScheduling):
    """Deals whole files out to processes; those of the browser share one system."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "browser" if file.startswith("tests/browser/") else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    return ByFile(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long files first, so that none of them is left for the end."""
    items.sort(key=lambda item: not any(long in str(item.path) for long in LONG))


class Compiled(BytecodeCache):
    """The templates that some application has compiled, for all the others of this process."""

    def __init__(self) -> None:
        self.bytecode: dict[tuple[str, str], bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if found := self.bytecode.get((bucket.key, bucket.checksum)):
            bucket.bytecode_from_string(found)

    def dump_bytecode(self, bucket: Bucket) -> None:
        self.bytecode[bucket.key, bucket.checksum] = bucket.bytecode_to_string()


COMPILED = Compiled()


class Client(FlaskClient):
    """Flask's test client, which reads each answer to its end, as a socket would."""

    def open(self, *args: Any, buffered: bool = True, **options: Any) -> TestResponse:
        return super().open(*args, buffered=buffered, **options)


class Applications:
    """One application for each settings: making one takes longer than most tests.

    What a test changed of it is put back. A route that a test adds cannot be: it makes an
    application of its own (make_app).
    """

    def __init__(self) -> None:
        self._made: dict[Settings, list[tuple[Flask, dict[str, Any]]]] = {}
        self._lent: dict[int, dict[str, Any]] = {}

    def take(self, settings: Settings) -> Flask:
        """An application that is as if it had just been made."""
        if made := self._made.get(settings):
            app, state = made.pop()
            kernel_settings.use(settings)
            doorbell.hang(settings.redis_url)
        else:
            app = _make_app(settings)
            state = _state(app)
        self._lent[id(app)] = state
        return app

    def give_back(self, app: Flask) -> None:
        """Keep an application for the next test."""
        state = self._lent.pop(id(app))
        for name, kept_values in state.items():
            values = getattr(app, name)
            values.clear()
            values.update(kept_values)
        self._made.setdefault(app.config["SETTINGS"], []).append((app, state))


def _state(app: Flask) -> dict[str, Any]:
    """Copies of what tests change of an application."""
    return {name: dict(getattr(app, name)) for name in ("config", "extensions", "view_functions")}


def _make_app(settings: Settings) -> Flask:
    app = create_app(settings)
    app.test_client_class = Client
    for environment in (app.jinja_env, app.extensions[kept.EXTENSION]):
        environment.bytecode_cache = COMPILED
    return app


@dataclass
class Browser:
    """A test client that sends what a browser of ours sends."""

    client: FlaskClient
    csrf_token: str

    def get(self, url: str, *, htmx: bool = False, **options: Any) -> TestResponse:
        return self.client.get(url, headers=self._headers(htmx=htmx), **options)

    def post(
        self, url: str, data: dict[str, Any] | None = None, *, htmx: bool = False, **options: Any
    ) -> TestResponse:
        form = {"csrf_token": self.csrf_token, **(data or {})}
        return self.client.post(url, data=form, headers=self._headers(htmx=htmx), **options)

    @staticmethod
    def _headers(*, htmx: bool) -> dict[str, str]:
        return {"HX-Request": "true"} if htmx else {}


@dataclass
class Api:
    """The REST API as one user's program calls it."""

    app: Flask
    token: str | None

    def get(self, url: str, **options: Any) -> TestResponse:
        return self._send("GET", url, **options)

    def delete(self, url: str, **options: Any) -> TestResponse:
        return self._send("DELETE", url, **options)

    def post(
        self, url: str, json: Any = None, *, key: str | None = None, **options: Any
    ) -> TestResponse:
        headers = {"Idempotency-Key": key} if key else {}
        body = {} if json is None else {"json": json}
        return self._send("POST", url, headers=headers, **body, **options)

    def _send(
        self, method: str, url: str, headers: dict[str, str] | None = None, **options: Any
    ) -> TestResponse:
        bearer = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        with self.app.test_client(use_cookies=False) as client:
            return client.open(
                f"/api/v1{url}", method=method, headers={**bearer, **(headers or {})}, **options
            )


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ates")


@pytest.fixture(scope="session")
def cluster(data_dir: Path) -> Iterator[Cluster]:
    with Cluster(data_dir, durable=False) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def valkey(data_dir: Path) -> Iterator[Server]:
    with Server(data_dir) as server:
        yield server


@pytest.fixture(scope="session")
def template(cluster: Cluster, data_dir: Path) -> str:
    """A database that holds what the migrations make and nothing else."""
    cluster.create_database(TEMPLATE)
    app = create_app(_settings(cluster, TEMPLATE, data_dir, NO_REDIS))
    with app.app_context():
        upgrade(directory=str(Path(__file__).parents[1] / "migrations"))
        _dispose()
    return TEMPLATE


@pytest.fixture(scope="session")
def databases(cluster: Cluster, template: str) -> Databases:
    """Copies of the template."""
    return Databases(cluster)


@pytest.fixture
def database(databases: Databases) -> Iterator[str]:
    """The name of a database that is the test's own meanwhile."""
    name = databases.take()
    yield name
    databases.give_back(name)


@pytest.fixture
def redis_url() -> str:
    return NO_REDIS


@pytest.fixture
def settings(cluster: Cluster, database: str, data_dir: Path, redis_url: str) -> Settings:
    return _settings(cluster, database, data_dir, redis_url)


@pytest.fixture
def make_app(settings: Settings) -> Iterator[Callable[..., Flask]]:
    apps: list[Flask] = []

    def make(**changes: Any) -> Flask:
        app = _make_app(replace(settings, **changes))
        apps.append(app)
        return app

    yield make
    for app in apps:
        with app.app_context():
            _dispose()


@pytest.fixture(scope="session")
def applications() -> Applications:
    """Applications that tests have done with, as they were made."""
    return Applications()


@pytest.fixture
def app(applications: Applications, settings: Settings) -> Iterator[Flask]:
    app = applications.take(settings)
    yield app
    with app.app_context():
        _dispose()
    applications.give_back(app)


@pytest.fixture
def owner_url(cluster: Cluster, database: str) -> str:
    return _with_driver(cluster.owner_url(database))


@pytest.fixture
def session(settings: Settings) -> Iterator[Session]:
    engine = sa.create_engine(
        settings.sqlalchemy_url,
        isolation_level="AUTOCOMMIT",
        connect_args={"options": "-c role=ates_app"},
    )
    with Session(engine) as session:
        yield session
    engine.dispose()


@pytest.fixture
def call(app: Flask) -> Callable[..., Any]:
    def run(function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        with app.app_context():
            return function(*args, **options)

    return run


@pytest.fixture(scope="session")
def password_hash() -> str:
    return passwords.hash_password(PASSWORD)


@pytest.fixture
def make_user(app: Flask, session: Session, password_hash: str) -> Callable[..., User]:
    numbers = itertools.count(1)

    def make(role: Role | str = Role.DEVELOPER, login: str | None = None) -> User:
        role = Role(role)
        login = login or f"{role.value}{next(numbers)}"
        phc = None if role is Role.INTERNALSERVICE else password_hash
        values = {"role": role.value, "login": login, "hash": phc}
        user_id = session.execute(INSERT_USER, values).scalar_one()
        return User(user_id, login, role)

    return make


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def new_browser(app: Flask) -> Callable[[], Browser]:
    return lambda: _browser(app, None)


@pytest.fixture
def anonymous(new_browser: Callable[[], Browser]) -> Browser:
    return new_browser()


@pytest.fixture
def sign_in(app: Flask) -> Callable[[User], Browser]:
    def sign_in(user: User) -> Browser:
        with app.app_context():
            session_id = commands.open_session(user.id, user_agent="pytest")
        return _browser(app, session_id)

    return sign_in


@pytest.fixture
def api(app: Flask) -> Callable[[User | None], Api]:
    def api(user: User | None) -> Api:
        if user is None:
            return Api(app, None)
        with app.app_context():
            issued = commands.issue_token(
                None, user_id=user.id, name="pytest", lifetime=timedelta(days=1)
            )
        return Api(app, issued.token)

    return api


def _browser(app: Flask, session_id: str | None) -> Browser:
    client = app.test_client()
    with client.session_transaction() as cookie:
        cookie["csrf_token"] = "0" * 40
        if session_id is not None:
            cookie["_user_id"] = session_id
    signer = URLSafeTimedSerializer(app.secret_key or "", salt="wtf-csrf-token")
    return Browser(client, str(signer.dumps("0" * 40)))


def _settings(cluster: Cluster, database: str, data_dir: Path, redis_url: str) -> Settings:
    env = {
        "DATABASE_URL": cluster.app_url(database),
        "MIGRATION_DATABASE_URL": cluster.owner_url(database),
        "REDIS_URL": redis_url,
        "SECRET_KEY": "0123456789abcdef" * 3,
        "ATES_DATA": str(data_dir),
        "PUBLIC_URL": "http://localhost",
        "COOKIE_SECURE": "0",
        "SESSION_COOKIE_NAME": "ates",
    }
    return Settings.from_env(env)


def _with_driver(url: str) -> str:
    return url.replace("postgresql://", "postgresql+psycopg://", 1)


def _dispose() -> None:
    db.session.remove()
    for engine in db.engines.values():
        engine.dispose()
