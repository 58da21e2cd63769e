"""What bin/run reads from the environment."""

import socket

import pytest

from embedded.errors import EmbeddedError
from embedded.settings import ROOT, Settings, check_port_is_free, public_host


def test_defaults():
    settings = Settings.from_env({})
    assert settings.port == 8000
    assert settings.data_dir == ROOT / "var"
    assert settings.demo


@pytest.mark.parametrize(
    ("env", "told"),
    [
        ({"PORT": "0"}, "PORT is '0'"),
        ({"PORT": "65536"}, "PORT is"),
        ({"PORT": "eighty"}, "PORT is 'eighty'"),
        ({"PORT": "٨٠"}, "PORT is"),
        ({"ATES_DEMO": "maybe"}, "ATES_DEMO is 'maybe'"),
        ({"ATES_ADMIN_LOGIN": "root"}, "belong together"),
    ],
)
def test_what_is_wrong_is_named(env, told):
    with pytest.raises(EmbeddedError, match=told):
        Settings.from_env(env)


def test_the_app_is_told_of_an_address_that_does_not_leave_the_machine():
    env = Settings.from_env({"PORT": "8123"}).app_env({"ATES_ADMIN_PASSWORD": "secret"})
    assert env["PUBLIC_URL"] == "http://127.0.0.1:8123"
    assert env["SESSION_COOKIE_NAME"] == "ates-8123"
    assert env["COOKIE_SECURE"] == "0"
    assert public_host(env) == "127.0.0.1:8123"
    assert "secret" not in env.values()


def test_cookies_are_strict_behind_tls():
    given = {"PUBLIC_URL": "https://ates.example/tasks"}
    env = Settings.from_env(given).app_env(given)
    assert "COOKIE_SECURE" not in env
    assert "SESSION_COOKIE_NAME" not in env
    assert public_host(env) == "ates.example"


def test_a_port_in_use_is_told():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(EmbeddedError, match=f"Port {port} is in use"):
            check_port_is_free(port)
    check_port_is_free(port)
