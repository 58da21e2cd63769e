"""The embedded Valkey: private, and empty after each start."""

from collections.abc import Iterator

import psutil
import pytest
import redis

from embedded import valkey
from embedded.errors import EmbeddedError
from embedded.valkey import Server


@pytest.fixture
def server(tmp_path) -> Iterator[Server]:
    with Server(tmp_path / "with a space") as server:
        yield server


def test_asks_for_a_password_that_no_other_user_can_read(server):
    password = server.url.split(":")[2].split("@")[0]
    assert password not in " ".join(psutil.Process(server.pid).cmdline())
    assert (server.folder / "valkey.conf").stat().st_mode & 0o077 == 0
    stranger = redis.Redis.from_url(server.url.replace(f":{password}@", ""))
    with stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()


def test_forgets_everything_at_a_kill_and_keeps_its_address(server):
    with redis.Redis.from_url(server.url) as client:
        client.set("bell", "1")
    server.kill9()
    server.start()
    with redis.Redis.from_url(server.url) as client:
        assert client.get("bell") is None


def test_stops_and_leaves_no_socket(server):
    server.stop()
    assert not server.is_running()
    assert not server.socket.exists()


def test_a_machine_without_a_server_is_told_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.prefix", "/nonexistent")
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(EmbeddedError, match="install valkey-server or redis-server"):
        Server(tmp_path).start()


def test_a_server_on_path_will_do(tmp_path, monkeypatch):
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "redis-server").symlink_to(valkey._program())
    monkeypatch.setattr("sys.prefix", "/nonexistent")
    monkeypatch.setenv("PATH", str(programs))
    with Server(tmp_path) as server, redis.Redis.from_url(server.url) as client:
        assert client.ping()
