"""/metrics for Prometheus: what the database says, and what this host's processes answered.

The database's part is read at each scrape, so it is the same whichever process answers. Requests
are counted in files, one a process, in a folder that the processes of one gunicorn share; each
adds up all of them. A gunicorn that starts again begins at zero, in a folder of its own.
"""

from __future__ import annotations

import contextlib
import hmac
import ipaddress
import os
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
from flask import Flask, Response, current_app, g, make_response, request
from sqlalchemy.exc import SQLAlchemyError

from app.kernel.errors import Forbidden
from app.kernel.settings import Settings
from app.web.access import public
from app.web.database_metrics import collect_database

_EXTENSION = "ates-metrics"
COUNT = "COUNT_REQUESTS"
_FORWARDED = ("X-Forwarded-For", "Forwarded", "X-Real-IP")
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_QUIET = frozenset({"static", "metrics"})
_making = threading.Lock()


def init_app(app: Flask) -> None:
    """Count the requests of `app`, and show them with the rest at /metrics."""
    app.extensions[_EXTENSION] = None
    app.after_request(_count)
    app.add_url_rule("/metrics", "metrics", public(_metrics))


def _metrics() -> Response:
    """The metrics, for this machine or for whoever has METRICS_TOKEN."""
    _check_reader(current_app.config["SETTINGS"])
    from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
    from prometheus_client.multiprocess import MultiProcessCollector

    registry = CollectorRegistry()
    if _counts_requests():
        _counters()
        folder = os.environ["PROMETHEUS_MULTIPROC_DIR"]
        MultiProcessCollector(registry, path=folder)  # type: ignore[no-untyped-call]
    registry.register(_Database())
    response = make_response(generate_latest(registry))
    response.headers["Content-Type"] = CONTENT_TYPE_LATEST
    return response


class _Database:
    """What the database says; when it cannot be reached, that."""

    def collect(self) -> Iterator[Any]:
        from prometheus_client.core import GaugeMetricFamily

        up = GaugeMetricFamily("ates_database_up", "Whether the database answered this scrape")
        try:
            families = collect_database()
        except SQLAlchemyError:
            up.add_metric([], 0)
            yield up
            return
        up.add_metric([], 1)
        yield up
        yield from families


def _check_reader(settings: Settings) -> None:
    """Raise Forbidden unless the reader has the token, or is this machine where none is set.

    A proxy on this machine has this machine's address: what was forwarded is not it.
    """
    if settings.metrics_token is not None:
        given = request.headers.get("Authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {settings.metrics_token}".encode()):
            raise Forbidden
        return
    try:
        is_local = ipaddress.ip_address(request.remote_addr or "").is_loopback
    except ValueError:
        is_local = False
    if not is_local or any(name in request.headers for name in _FORWARDED):
        raise Forbidden


def _count(response: Response) -> Response:
    endpoint = request.endpoint or "unknown"
    if _counts_requests() and endpoint not in _QUIET and "began_at" in g:
        requests, seconds = _counters()
        requests.labels(endpoint, request.method, response.status_code).inc()
        seconds.labels(endpoint).observe(time.perf_counter() - g.began_at)
    return response


def _counts_requests() -> bool:
    """Under gunicorn; elsewhere only where it is asked for, since it leaves files behind."""
    served = os.environ.get("SERVER_SOFTWARE", "").startswith("gunicorn")
    return bool(current_app.config.get(COUNT, served))


def _counters() -> tuple[Any, Any]:
    """This process's counters, made at its first request: not before gunicorn has forked."""
    with _making:
        found: tuple[Any, Any] | None = current_app.extensions[_EXTENSION]
        if found is None:
            found = current_app.extensions[_EXTENSION] = _make_counters()
        return found


def close(app: Flask) -> None:
    """Close the files of this process's counters."""
    for family in app.extensions[_EXTENSION] or ():
        for child in family._metrics.values():  # noqa: SLF001 - the library never closes them
            number = getattr(child, "_value", None) or child._sum  # noqa: SLF001 - as above
            number._file.close()  # noqa: SLF001 - as above
    app.extensions[_EXTENSION] = None


def _make_counters() -> tuple[Any, Any]:
    settings: Settings = current_app.config["SETTINGS"]
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(_folder(settings.data_dir / "metrics"))
    from prometheus_client import CollectorRegistry, Counter, Histogram, values

    # Whatever imported the library first: its numbers live in the folder.
    values.ValueClass = values.MultiProcessValue()  # type: ignore[no-untyped-call]
    registry = CollectorRegistry()
    requests = Counter(
        "ates_requests",
        "Requests answered",
        ["endpoint", "method", "status"],
        registry=registry,
    )
    seconds = Histogram(
        "ates_request_seconds",
        "How long requests took",
        ["endpoint"],
        registry=registry,
        buckets=_BUCKETS,
    )
    return requests, seconds


def _folder(all_of_them: Path) -> Path:
    """The folder of this process's gunicorn (its parent); those of dead ones are removed."""
    own = all_of_them / str(os.getppid())
    own.mkdir(parents=True, exist_ok=True)
    for other in all_of_them.iterdir():
        if other != own and other.name.isdigit() and not psutil.pid_exists(int(other.name)):
            with contextlib.suppress(OSError):
                shutil.rmtree(other)
    return own
