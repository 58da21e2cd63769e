"""Keyset pages: the rows after a cursor, at most `limit` of them, and the cursor of the next page.

A cursor is where the last row of a page stands in the order of its list. It is opaque to clients
and no secret: the list's conditions, not the cursor, decide which rows are shown.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any, TypeVar

from marshmallow import Schema, fields

from app.web.fields import Number

Row = TypeVar("Row")
PAGE = 50
PAGE_MAX = 200
CURSOR_MAX_LENGTH = 120
BIGINT = range(-(2**63), 2**63)


class Cursor(fields.Field[tuple[Any, ...]]):
    """A place in a list, whose parts have the types `shape`."""

    default_error_messages = {"invalid": "Not a cursor of this list"}  # noqa: RUF012 - marshmallow's

    def __init__(self, *shape: type[int | date], **options: Any) -> None:
        pattern = f"^[A-Za-z0-9_-]{{1,{CURSOR_MAX_LENGTH}}}$"
        super().__init__(metadata={"type": "string", "pattern": pattern}, **options)
        self.shape = shape

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> tuple[Any, ...]:
        del attr, data, kwargs
        try:
            return decode(value, *self.shape)
        except ValueError as error:
            raise self.make_error("invalid") from error


class PageQuery(Schema):
    """Which page of a list; a list adds its `cursor`, whose shape is its own."""

    limit = Number(1, PAGE_MAX, load_default=PAGE)


class Page(Schema):
    """A page of a list; a list adds its `items`."""

    next_cursor = fields.String(required=True, allow_none=True)


def page_of(
    rows: Sequence[Row], place: Callable[[Row], tuple[int | date, ...]], *, more: bool
) -> dict[str, Any]:
    """The page that holds `rows`; `place` says where a row stands in the order of the list."""
    return {"items": rows, "next_cursor": encode(*place(rows[-1])) if more else None}


def encode(*place: int | date) -> str:
    """The cursor of a place in a list."""
    text = json.dumps(place, default=date.isoformat, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def decode(cursor: str, *shape: type[int | date]) -> tuple[Any, ...]:
    """The place that a cursor names. Raises ValueError for what `encode` did not make."""
    if len(cursor) > CURSOR_MAX_LENGTH:
        raise ValueError("too long")
    padded = cursor.encode() + b"=" * (-len(cursor) % 4)
    parts = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    if not isinstance(parts, list) or len(parts) != len(shape):
        raise ValueError("not a place in this list")
    place = tuple(_part(part, kind) for part, kind in zip(parts, shape, strict=True))
    if encode(*place) != cursor:
        raise ValueError("not as it was made")
    return place


def _part(part: Any, kind: type[int | date]) -> int | date:
    if kind is int and type(part) is int and part in BIGINT:
        return part
    if kind is date and isinstance(part, str):
        return date.fromisoformat(part)
    raise ValueError("a part of another type")
