"""Flask's configuration, made from the settings."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from app.kernel.db import engine_options
from app.kernel.settings import Settings

SESSION_ABSOLUTE = timedelta(days=14)
MAX_BODY_BYTES = 1024 * 1024
MAX_FORM_PARTS = 200


def configure(app: Flask, settings: Settings, *, process: str) -> None:
    """Set what Flask and its extensions read from `app.config`; trust the configured proxies."""
    app.config.update(_flask(settings), **_extensions(settings, process))
    if settings.proxy_hops:
        hops = settings.proxy_hops
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
            app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops, x_port=0, x_prefix=0
        )


def _flask(settings: Settings) -> dict[str, Any]:
    return {
        "SETTINGS": settings,
        "SECRET_KEY": settings.secret_key,
        "SECRET_KEY_FALLBACKS": list(settings.secret_key_fallbacks),
        "SESSION_COOKIE_NAME": settings.session_cookie_name,
        "SESSION_COOKIE_SECURE": settings.cookie_secure,
        "SESSION_COOKIE_HTTPONLY": True,
        "SESSION_COOKIE_SAMESITE": "Lax",
        "SESSION_COOKIE_PATH": "/",
        "SESSION_REFRESH_EACH_REQUEST": False,
        "PERMANENT_SESSION_LIFETIME": SESSION_ABSOLUTE,
        "PREFERRED_URL_SCHEME": urlsplit(settings.public_url).scheme or "http",
        "MAX_CONTENT_LENGTH": MAX_BODY_BYTES,
        "MAX_FORM_MEMORY_SIZE": MAX_BODY_BYTES,
        "MAX_FORM_PARTS": MAX_FORM_PARTS,
        "TRUSTED_HOSTS": _trusted_hosts(settings),
        "SEND_FILE_MAX_AGE_DEFAULT": None,
    }


def _extensions(settings: Settings, process: str) -> dict[str, Any]:
    return {
        "SQLALCHEMY_DATABASE_URI": settings.sqlalchemy_url,
        "SQLALCHEMY_ENGINE_OPTIONS": engine_options(process),
        # The newest key signs; the older ones still verify (itsdangerous: oldest first).
        "WTF_CSRF_SECRET_KEY": [*reversed(settings.secret_key_fallbacks), settings.secret_key],
        "WTF_CSRF_CHECK_DEFAULT": False,
        "WTF_CSRF_TIME_LIMIT": None,
        "BABEL_DEFAULT_LOCALE": "en",
        "BABEL_DEFAULT_TIMEZONE": settings.business_timezone,
        "BABEL_TRANSLATION_DIRECTORIES": "../translations",
    }


def _trusted_hosts(settings: Settings) -> list[str]:
    own = urlsplit(settings.public_url).hostname
    return list(dict.fromkeys([*settings.trusted_hosts, *([own] if own else [])]))
