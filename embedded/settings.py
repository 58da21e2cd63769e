"""What bin/run is asked for by the environment."""

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from embedded.errors import EmbeddedError

HOST = "127.0.0.1"
ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The part of the environment that says what to start; the app reads the rest itself."""

    port: int
    data_dir: Path
    demo: bool
    database_url: str | None
    redis_url: str | None
    admin_login: str | None
    admin_email: str | None
    admin_password: str | None

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        """Read and check `env`. Raises EmbeddedError naming the variable that is wrong."""
        demo = env.get("ATES_DEMO", "1")
        if demo not in ("0", "1"):
            raise EmbeddedError(f"ATES_DEMO is {demo!r}: it must be 1 or 0.")
        settings = cls(
            port=_port(env.get("PORT", "8000")),
            data_dir=Path(env.get("ATES_DATA") or ROOT / "var").absolute(),
            demo=demo == "1",
            database_url=env.get("DATABASE_URL") or None,
            redis_url=env.get("REDIS_URL") or None,
            admin_login=env.get("ATES_ADMIN_LOGIN") or None,
            admin_email=env.get("ATES_ADMIN_EMAIL") or None,
            admin_password=env.get("ATES_ADMIN_PASSWORD") or None,
        )
        settings._check_admin()
        return settings

    @property
    def address(self) -> str:
        """Where a browser on this machine finds the system."""
        return f"http://{HOST}:{self.port}"

    def app_env(self, env: Mapping[str, str]) -> dict[str, str]:
        """`env` with what the app needs besides the addresses of its servers and its secret.

        Cookies are told apart by name, since browsers send them to every port of a host, and need
        no TLS on an address that does not leave the machine.
        """
        local = (
            {}
            if env.get("PUBLIC_URL", "").startswith("https://")
            else {
                "COOKIE_SECURE": "0",
                "SESSION_COOKIE_NAME": f"ates-{self.port}",
            }
        )
        ours = {
            "ATES_DATA": str(self.data_dir),
            "ATES_DEMO": str(int(self.demo)),
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "TZ": "UTC",
        }
        defaults = {"PUBLIC_URL": self.address, "TRUSTED_HOSTS": f"{HOST},localhost"}
        kept = {name: value for name, value in env.items() if name != "ATES_ADMIN_PASSWORD"}
        return {**local, **defaults, **kept, **ours}

    def _check_admin(self) -> None:
        given = (self.admin_login, self.admin_email, self.admin_password)
        if any(given) and not all(given):
            raise EmbeddedError(
                "ATES_ADMIN_LOGIN, ATES_ADMIN_EMAIL and ATES_ADMIN_PASSWORD belong together.",
            )


def check_port_is_free(port: int) -> None:
    """Raise EmbeddedError if the web server could not listen there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except PermissionError as error:
            raise EmbeddedError(f"Port {port} needs more rights: set PORT above 1023.") from error
        except OSError as error:
            raise EmbeddedError(f"Port {port} is in use: set PORT to another.") from error


def public_host(env: Mapping[str, str]) -> str:
    """The Host header that the app trusts for sure."""
    return env["PUBLIC_URL"].split("://", 1)[-1].split("/", 1)[0]


def _port(value: str) -> int:
    if not value.isascii() or not value.isdigit() or not 0 < int(value) < 2**16:
        raise EmbeddedError(f"PORT is {value!r}: it must be a number from 1 to 65535.")
    return int(value)
