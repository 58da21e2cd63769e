"""One mapping from everything that can go wrong to a status and words that may be shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from psycopg import errors as pg
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from app.kernel.errors import AtesError, BadInput, Stopped, Unavailable

# The server gives up on a transaction that is too old; the request may be sent again.
_GIVEN_UP = (pg.TransactionTimeout, pg.IdleInTransactionSessionTimeout, pg.ReadOnlySqlTransaction)
# A page that is not what was written is never read: the guardian tells, and stops changes.
_DAMAGED = (pg.DataCorrupted, pg.IndexCorrupted)
UNPROCESSABLE = 422
SERVER_ERROR = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What an error says, whatever the form of the answer.

    `fields` maps a JSON pointer (`#/name`), or `?name` for the query, to what is wrong there.
    """

    status: int
    title: str
    detail: str
    fields: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    incident: str | None = None

    @property
    def slug(self) -> str:
        """The title as an identifier: `not-found`."""
        return "-".join(self.title.lower().split())


def problem_of(error: BaseException) -> Problem:
    """What may be said of `error`; an error that nobody foresaw is only "Internal error"."""
    if isinstance(error, AtesError):
        return _of_ates(error)
    if isinstance(error, HTTPException):
        return _of_http(error)
    if is_outage(error):
        return _of_ates(Unavailable())
    return Problem(
        status=SERVER_ERROR,
        title="Internal error",
        detail="Something went wrong here; nothing was changed.",
    )


def is_outage(error: BaseException) -> bool:
    """Whether the database could not be reached or read, or gave up, or had no connection left."""
    if isinstance(error, DBAPIError):
        unreachable = isinstance(error, OperationalError | InterfaceError)
        passing = isinstance(error.orig, (*_GIVEN_UP, *_DAMAGED))
        return unreachable or error.connection_invalidated or passing
    return isinstance(error, PoolTimeout)


def _of_ates(error: AtesError) -> Problem:
    headers = {} if error.retry_after_s is None else {"Retry-After": str(error.retry_after_s)}
    fields = error.fields if isinstance(error, BadInput) else {}
    return Problem(
        status=error.status,
        title=error.title,
        detail=error.message if error.status != SERVER_ERROR else "",
        fields={pointer(name): message for name, message in fields.items()},
        headers=headers,
        incident=error.incident if isinstance(error, Stopped) else None,
    )


def _of_http(error: HTTPException) -> Problem:
    status = error.code or SERVER_ERROR
    headers = {}
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        headers["Allow"] = ", ".join(sorted(error.valid_methods))
    messages = (getattr(error, "data", None) or {}).get("messages")
    if messages:
        return Problem(
            status=UNPROCESSABLE,
            title=BadInput.title,
            detail=BadInput.title,
            fields=dict(_flatten(messages)),
            headers=headers,
        )
    return Problem(
        status=status,
        title=HTTPStatus(status).phrase,
        detail=error.description or HTTPStatus(status).phrase,
        headers=headers,
    )


def pointer(name: str) -> str:
    """The JSON pointer of a field of the body: `name` -> `#/name`; the query's `?name` stays."""
    return name if name.startswith("?") else f"#/{name}" if name else "#"


def _flatten(messages: Any) -> Iterator[tuple[str, str]]:
    """Webargs' messages, {location: {field: [message]}}, as (pointer, message)."""
    for location, fields in messages.items():
        prefix = "?" if location in ("query", "querystring") else ""
        for path, message in _leaves((), fields):
            yield pointer(prefix + "/".join(path)), message


def _leaves(path: tuple[str, ...], value: Any) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            inner = path if name == "_schema" else (*path, str(name))
            yield from _leaves(inner, item)
    elif isinstance(value, list):
        yield path, " ".join(str(message) for message in value)
    else:
        yield path, str(value)
