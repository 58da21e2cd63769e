"""REDIS_URL: one server, or a service whose master Sentinels know.

`redis://`, `rediss://` and `unix://` are what redis-py reads. Behind Sentinels the address is
`redis+sentinel://[user:password@]host:port,host:port/service[?db=0&sentinel_password=…]`; with
`rediss+sentinel://` the servers are spoken to by TLS. The master is asked for at each connection,
so a failover needs no restart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from redis import Redis
from redis.sentinel import Sentinel

SENTINEL_SCHEMES = ("redis+sentinel", "rediss+sentinel")
SCHEMES = ("redis", "rediss", "unix", *SENTINEL_SCHEMES)
SENTINEL_PORT = 26379
# A Sentinel that does not answer in time is passed over for the next.
SENTINEL_TIMEOUT_S = 1.0


@dataclass(frozen=True, slots=True)
class _Service:
    """What an address says of a service behind Sentinels."""

    sentinels: list[tuple[str, int]]
    name: str
    options: dict[str, Any]
    sentinel_password: str | None


def check(url: str) -> str:
    """The address itself. Raises ValueError when it is none."""
    scheme = urlsplit(url).scheme
    if scheme not in SCHEMES:
        raise ValueError(f"no address of Redis begins with {scheme}:")
    if scheme in SENTINEL_SCHEMES:
        _service(url)
    else:
        Redis.from_url(url).close()
    return url


def connect(url: str, **options: Any) -> Redis:
    """A client of the server, or of whichever is the service's master, connected when used."""
    if urlsplit(url).scheme not in SENTINEL_SCHEMES:
        return Redis.from_url(url, **options)
    service = _service(url)
    timeout_s = options.get("socket_connect_timeout") or SENTINEL_TIMEOUT_S
    of_sentinels = {
        "socket_timeout": timeout_s,
        "socket_connect_timeout": timeout_s,
        "password": service.sentinel_password,
        "retry": None,
    }
    sentinel: Any = Sentinel(service.sentinels, sentinel_kwargs=of_sentinels)  # type: ignore[no-untyped-call]
    client: Redis = sentinel.master_for(service.name, **service.options, **options)
    return client


def _service(url: str) -> _Service:
    """Read an address of Sentinels. Raises ValueError."""
    parts = urlsplit(url)
    signed_in, _, hosts = parts.netloc.rpartition("@")
    user, _, password = signed_in.partition(":")
    name = parts.path.strip("/")
    query = dict(parse_qsl(parts.query))
    db, sentinel_password = int(query.pop("db", 0)), query.pop("sentinel_password", None)
    if not name or "/" in name or query:
        raise ValueError("an address of Sentinels ends with /service, ?db= and ?sentinel_password=")
    options: dict[str, Any] = {"db": db}
    if parts.scheme == "rediss+sentinel":
        options["ssl"] = True
    if user:
        options["username"] = unquote(user)
    if password:
        options["password"] = unquote(password)
    return _Service([_host(host) for host in hosts.split(",")], name, options, sentinel_password)


def _host(text: str) -> tuple[str, int]:
    """`host`, `host:port` or `[address]:port`."""
    parts = urlsplit(f"//{text}")
    if not parts.hostname:
        raise ValueError("an address of Sentinels names them by host:port,host:port")
    return parts.hostname, parts.port or SENTINEL_PORT
