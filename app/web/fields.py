"""Fields of the REST API: money, and input read more strictly than marshmallow reads it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from typing import Any

from marshmallow import fields, validate

from app.kernel.errors import BadInput
from app.kernel.money import decimal_string

ID_MAX = 10**18 - 1
_DIGITS = re.compile(r"[0-9]{1,18}", re.ASCII)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_MONEY = {"pattern": r"^-?[0-9]+\.[0-9]{2}$", "example": "12.34"}


class Money(fields.String):
    """An amount in minor units, shown as a decimal string: 1234 is "12.34"."""

    def __init__(self, **options: Any) -> None:
        super().__init__(metadata=_MONEY, **options)

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> str | None:
        del attr, obj, kwargs
        return None if value is None else decimal_string(value)


class Number(fields.Integer):
    """A whole number of the query: decimal digits and nothing else."""

    def __init__(self, minimum: int = 0, maximum: int = ID_MAX, **options: Any) -> None:
        super().__init__(validate=validate.Range(minimum, maximum), **options)

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> int:
        del attr, data, kwargs
        if not _DIGITS.fullmatch(value):
            raise self.make_error("invalid")
        return int(value)


class Day(fields.Date):
    """A calendar day as 2026-11-30, and in no other notation of ISO 8601."""

    default_error_messages = {"invalid": "A date such as 2026-11-30"}  # noqa: RUF012 - marshmallow's

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> date:
        del attr, data, kwargs
        if not (isinstance(value, str) and _DATE.fullmatch(value)):
            raise self.make_error("invalid")
        try:
            return date.fromisoformat(value)
        except ValueError as error:
            raise self.make_error("invalid") from error


@contextmanager
def of_query() -> Iterator[None]:
    """Say of a BadInput that its fields are the query's."""
    try:
        yield
    except BadInput as error:
        named = {f"?{name}": message for name, message in error.fields.items()}
        raise BadInput(error.message, fields=named) from error
