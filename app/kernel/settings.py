"""Settings: read from the environment and validated once, at start."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from zoneinfo import ZoneInfo

from app.kernel import redis_address
from app.kernel.errors import SettingsError

MIN_SECRET_LENGTH = 32
MAX_DAYS = 36_500
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceRange:
    """Prices are drawn uniformly over every cent of it, both ends included."""

    min_cents: int
    max_cents: int

    def __post_init__(self) -> None:
        if not 0 < self.min_cents <= self.max_cents:
            raise SettingsError(f"a price range must be 0 < min <= max, not {self}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that a deployment may set; README lists the variables."""

    database_url: str
    migration_database_url: str
    redis_url: str
    secret_key: str
    secret_key_fallbacks: tuple[str, ...]
    data_dir: Path
    demo: bool
    dev: bool
    business_timezone: str
    currency: str
    assign_fee: PriceRange
    completion_reward: PriceRange
    registration_open: bool
    public_url: str
    trusted_hosts: tuple[str, ...]
    proxy_hops: int
    cookie_secure: bool
    session_cookie_name: str
    smtp_url: str | None
    mail_from: str
    alert_mail_to: tuple[str, ...]
    alert_webhook_url: str | None
    metrics_token: str | None
    outbox_keep_days: int
    outbox_archive_dir: Path | None

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Settings:
        """Read and check `env`. Raises SettingsError naming the variable that is wrong."""
        database_url = _url(env, "DATABASE_URL")
        return cls(
            database_url=database_url,
            migration_database_url=_url(env, "MIGRATION_DATABASE_URL", database_url),
            redis_url=_redis_address(env, "REDIS_URL"),
            secret_key=_secret(env, "SECRET_KEY"),
            secret_key_fallbacks=_words(env.get("SECRET_KEY_FALLBACKS", "")),
            data_dir=Path(env.get("ATES_DATA", "var")).resolve(),
            demo=_flag(env, "ATES_DEMO", default=False),
            dev=_flag(env, "ATES_DEV", default=False),
            business_timezone=_timezone(env.get("BUSINESS_TIMEZONE", "UTC")),
            currency=_currency(env.get("CURRENCY", "USD")),
            assign_fee=PriceRange(
                min_cents=_integer(env, "ASSIGN_FEE_MIN", 1000),
                max_cents=_integer(env, "ASSIGN_FEE_MAX", 2000),
            ),
            completion_reward=PriceRange(
                min_cents=_integer(env, "COMPLETION_REWARD_MIN", 2000),
                max_cents=_integer(env, "COMPLETION_REWARD_MAX", 4000),
            ),
            registration_open=_choice(env, "REGISTRATION", ("open", "closed")) == "open",
            public_url=env.get("PUBLIC_URL", "http://127.0.0.1:8000").rstrip("/"),
            trusted_hosts=_words(env.get("TRUSTED_HOSTS", "127.0.0.1,localhost")),
            proxy_hops=_integer(env, "PROXY_HOPS", 0),
            cookie_secure=_flag(env, "COOKIE_SECURE", default=True),
            session_cookie_name=env.get("SESSION_COOKIE_NAME", "__Host-ates"),
            smtp_url=env.get("SMTP_URL") or None,
            mail_from=env.get("MAIL_FROM", "ates@localhost"),
            alert_mail_to=_words(env.get("ALERT_MAIL_TO", "")),
            alert_webhook_url=_web_address(env, "ALERT_WEBHOOK_URL"),
            metrics_token=_secret(env, "METRICS_TOKEN") if env.get("METRICS_TOKEN") else None,
            outbox_keep_days=_days(env, "OUTBOX_KEEP_DAYS", 400),
            outbox_archive_dir=_folder(env, "OUTBOX_ARCHIVE_DIR"),
        )

    @property
    def archive_folder(self) -> Path:
        """Where archives of the event log are kept."""
        return self.outbox_archive_dir or self.data_dir / "archive"

    @property
    def sqlalchemy_url(self) -> str:
        return _with_driver(self.database_url)

    @property
    def sqlalchemy_migration_url(self) -> str:
        return _with_driver(self.migration_database_url)


def _with_driver(url: str) -> str:
    return re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", url)


def _required(env: Mapping[str, str], name: str) -> str:
    value = env.get(name, "")
    if not value:
        raise SettingsError(f"{name} is not set")
    return value


def _url(env: Mapping[str, str], name: str, default: str = "") -> str:
    value = env.get(name, "") or default
    if not re.match(r"^postgres(ql)?://", value):
        raise SettingsError(f"{name} must be a postgresql:// address")
    return value


def _redis_address(env: Mapping[str, str], name: str) -> str:
    try:
        return redis_address.check(_required(env, name))
    except ValueError as error:  # without the address, which has a password in it
        raise SettingsError(f"{name} is no address of Redis: {error}") from None


def _web_address(env: Mapping[str, str], name: str) -> str | None:
    value = env.get(name, "")
    if value and not re.match(r"^https?://[^/\s]+", value):
        raise SettingsError(f"{name} must be an http:// or https:// address")
    return value or None


def _secret(env: Mapping[str, str], name: str) -> str:
    value = _required(env, name)
    if len(value) < MIN_SECRET_LENGTH:
        raise SettingsError(f"{name} must have at least {MIN_SECRET_LENGTH} characters")
    return value


def _checked(name: str, value: str, read: Callable[[str], T]) -> T:
    try:
        return read(value)
    except (ValueError, KeyError, OSError) as error:
        raise SettingsError(f"{name}={value!r} is not valid") from error


def _integer(env: Mapping[str, str], name: str, default: int) -> int:
    return _checked(name, env.get(name, str(default)), int)


def _days(env: Mapping[str, str], name: str, default: int) -> int:
    days = _integer(env, name, default)
    if not 0 < days <= MAX_DAYS:
        raise SettingsError(f"{name} must be from 1 to {MAX_DAYS} days")
    return days


def _folder(env: Mapping[str, str], name: str) -> Path | None:
    """A folder by its whole path; it need not be there, since it may be mounted later."""
    value = env.get(name, "")
    if value and not Path(value).is_absolute():
        raise SettingsError(f"{name} must be the whole path of a folder")
    return Path(value) if value else None


def _flag(env: Mapping[str, str], name: str, *, default: bool) -> bool:
    words = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
    return _checked(name, env.get(name, str(int(default))).lower(), words.__getitem__)


def _choice(env: Mapping[str, str], name: str, choices: tuple[str, ...]) -> str:
    value = env.get(name, choices[0])
    if value not in choices:
        raise SettingsError(f"{name} must be one of {', '.join(choices)}")
    return value


def _words(value: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in value.split(",") if word.strip())


def _timezone(value: str) -> str:
    return _checked("BUSINESS_TIMEZONE", value, ZoneInfo).key


def _currency(value: str) -> str:
    if not re.fullmatch(r"[A-Z]{3}", value):
        raise SettingsError("CURRENCY must be an ISO 4217 code such as USD")
    return value


_current: Settings | None = None


def use(settings: Settings) -> None:
    """Make `settings` this process's (at start)."""
    global _current  # noqa: PLW0603 - settings are read once a process, at start
    _current = settings


def current() -> Settings:
    """This process's settings."""
    if _current is None:
        raise RuntimeError("create_app() reads the settings")
    return _current
