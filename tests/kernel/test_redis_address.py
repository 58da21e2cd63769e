"""REDIS_URL: what is an address, what is not, and a master that Sentinels replace."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from redis.exceptions import RedisError

from app.kernel import redis_address
from app.kernel.errors import SettingsError
from app.kernel.settings import Settings
from app.outbox.doorbell import BELL, Doorbell
from tests.faults import sentinels

ENV = {
    "DATABASE_URL": "postgresql://ates_app@/ates",
    "SECRET_KEY": "0123456789abcdef" * 3,
}


@pytest.mark.parametrize(
    "url",
    [
        "redis://:word@localhost:6379/0",
        "rediss://localhost",
        "unix://:word@/run/valkey.sock",
        "redis+sentinel://:word@one:26379,two/ates",
        "rediss+sentinel://user:w%40rd@[::1]:26379,two:26380/ates?db=2&sentinel_password=other",
    ],
)
def test_an_address_is_taken(url):
    assert Settings.from_env({**ENV, "REDIS_URL": url}).redis_url == url


@pytest.mark.parametrize(
    "url",
    [
        "localhost:6379",
        "http://localhost",
        "redis+sentinel://:s3cr3t@one:26379,two:26379",
        "redis+sentinel://:s3cr3t@one:26379,two:26379/ates/1",
        "redis+sentinel://:s3cr3t@,/ates",
        "redis+sentinel://:s3cr3t@one:port/ates",
        "redis+sentinel://:s3cr3t@one/ates?timeout=3",
    ],
)
def test_what_is_none_is_refused_without_its_password(url):
    with pytest.raises(SettingsError, match="REDIS_URL") as refused:
        Settings.from_env({**ENV, "REDIS_URL": url})
    assert "s3cr3t" not in str(refused.value)


def test_a_service_is_read_with_its_names_and_passwords():
    url = "rediss+sentinel://user:w%40rd@[::1]:26380,two/ates?db=2&sentinel_password=other"
    service = redis_address._service(url)
    assert service.sentinels == [("::1", 26380), ("two", 26379)]
    assert service.options == {"db": 2, "ssl": True, "username": "user", "password": "w@rd"}
    assert (service.name, service.sentinel_password) == ("ates", "other")


def test_the_bell_rings_at_the_new_master(tmp_path: Path):
    with sentinels.running(tmp_path, sentinels=1) as servers:
        bell = Doorbell(servers.url)
        assert bell.ring()
        old = servers.kill_master()
        give_up_at = time.monotonic() + 60
        while servers.master() in (None, old) or not _rings(bell):
            assert time.monotonic() < give_up_at, "the bell does not ring at a new master"
            time.sleep(0.1)
        new = servers.master()
        assert new not in (None, old)
        assert servers.client(new).exists(BELL)
        bell.redis.close()


def _rings(bell: Doorbell) -> bool:
    try:
        bell.redis.delete(BELL)
    except RedisError:
        return False
    return bell.ring()
