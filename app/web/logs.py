"""Logs: one JSON object a line on standard error, without secrets.

JSON escapes newlines, so a logged value cannot forge a line. Addresses are logged as the route's
pattern, never as sent: a path may hold a one-time token.
"""

from __future__ import annotations

import ipaddress
import json
import logging
import secrets
import sys
import time
from collections.abc import MutableMapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import structlog
from flask import Flask, Response, g, request

from app.kernel import audit

SECRETS = frozenset({"password", "token", "secret", "cookie", "authorization", "hash"})
QUIET = frozenset({"web.healthz", "web.readyz", "static"})
_encode = json.JSONEncoder(ensure_ascii=False).encode


def init_app(app: Flask) -> None:
    """Configure this process's logs, and log each request of `app`."""
    configure()
    app.before_request(_begin)
    app.after_request(_end)


def configure(level: int = logging.INFO) -> None:
    """Send what structlog and the standard library log to standard error, as JSON."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        _with_request,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _without_secrets,
    ]
    structlog.configure(
        processors=[
            *shared,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=_StandardError,
        cache_logger_on_first_use=True,
    )
    handler = _Handler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(ensure_ascii=False),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)


class _StandardError:
    """Writes each line to what standard error is at that moment, in one piece."""

    def __init__(self, *_args: Any) -> None:
        """As structlog makes its loggers."""

    def msg(self, line: str) -> None:
        sys.stderr.write(line + "\n")

    debug = info = warning = error = critical = msg


class _Handler(logging.Handler):
    """The same for the standard library's records."""

    def emit(self, record: logging.LogRecord) -> None:
        sys.stderr.write(self.format(record) + "\n")


def _with_request(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    request_id = audit.origin.get().request_id
    if request_id is not None:
        event.setdefault("request_id", request_id)
    return event


def _without_secrets(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    for name in SECRETS & event.keys():
        event[name] = "…"
    return event


def _begin() -> None:
    g.request_id = secrets.token_hex(8)
    g.began_at = time.perf_counter()
    audit.origin.set(audit.Origin(_address(request.remote_addr), g.request_id))


@lru_cache(maxsize=1024)
def _address(said: str | None) -> str | None:
    """The client's address; None behind a UNIX socket, or when a proxy names it otherwise."""
    try:
        return str(ipaddress.ip_address(said or ""))
    except ValueError:
        return None


def _end(response: Response) -> Response:
    request_id = g.get("request_id")
    if request_id is None:  # refused before anything began
        return response
    response.headers["X-Request-ID"] = request_id
    if request.endpoint not in QUIET:
        _log_request(response, request_id)
    return response


def _log_request(response: Response, request_id: str) -> None:
    """Write the request's line: past structlog, for its speed, and in the same form."""
    line = {
        "event": "request",
        "method": request.method,
        "route": request.url_rule.rule if request.url_rule else None,
        "status": response.status_code,
        "ms": round((time.perf_counter() - g.began_at) * 1000, 1),
        "user_id": getattr(g.get("_login_user"), "id", None),
        "request_id": request_id,
        "level": "info",
        "timestamp": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
    }
    sys.stderr.write(_encode(line) + "\n")
