"""What no field may hold, and JSON read strictly: nothing ambiguous gets past the edge."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any, NoReturn

from flask import Flask, request
from werkzeug.routing import IntegerConverter

from app.kernel.errors import BadInput, Malformed, NotFound
from app.kernel.messages import said

MAX_JSON_DEPTH = 20
MAX_JSON_INTEGER_DIGITS = 18
FORMS = frozenset({"application/x-www-form-urlencoded", "multipart/form-data"})
UNREADABLE = said("Contains a character that cannot be stored")


class RowId(IntegerConverter):
    """An id in a path; one that no row can have is a path that does not exist."""

    regex = r"[0-9]{1,18}"


def init_app(app: Flask) -> None:
    """Check the path, the query and the form of each request of `app`."""
    app.url_map.converters["int"] = RowId
    app.before_request(_check_request)


def check_text(name: str, value: str) -> None:
    """Raise BadInput for a NUL or a lone surrogate, which PostgreSQL's text cannot hold."""
    if "\0" in value or not (value.isascii() or _encodes(value)):
        raise BadInput(fields={name: UNREADABLE})


def strict_json(body: bytes) -> Any:
    """The value of a JSON text in UTF-8.

    Raises Malformed when it is not JSON; BadInput for a duplicate key, NaN or infinity, an
    integer of more than 18 digits, a NUL or a lone surrogate in a string, or deep nesting.
    """
    try:
        value = json.loads(
            body.decode(),
            object_pairs_hook=_object,
            parse_constant=_refuse_constant,
            parse_float=_float,
            parse_int=_integer,
        )
    except RecursionError as error:
        raise BadInput("The JSON is nested too deeply") from error
    except ValueError as error:  # not UTF-8, or not JSON
        raise Malformed("The body is not valid JSON") from error
    _check_value("", value, 0)
    return value


def _check_request() -> None:
    if "\0" in request.path:
        raise NotFound
    if request.query_string:
        _check_fields((f"?{name}", value) for name, value in request.args.items(multi=True))
    if request.mimetype in FORMS:
        _check_fields(request.form.items(multi=True))
        _check_fields((name, file.filename or "") for name, file in request.files.items(multi=True))


def _check_fields(fields: Iterable[tuple[str, str]]) -> None:
    for name, value in fields:
        check_text(name, value)
        check_text("", name)


def _encodes(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = dict(pairs)
    if len(names) != len(pairs):
        counts = Counter(name for name, _ in pairs)
        raise BadInput(fields={name: "Given twice" for name, n in counts.items() if n > 1})
    return names


def _refuse_constant(constant: str) -> NoReturn:
    raise BadInput(f"The JSON holds {constant}, which is not a number")


def _float(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise BadInput("The JSON holds a number that is too large")
    return number


def _integer(text: str) -> int:
    if len(text.lstrip("-")) > MAX_JSON_INTEGER_DIGITS:
        raise BadInput("The JSON holds a number that is too large")
    return int(text)


def _check_value(path: str, value: Any, depth: int) -> None:
    if depth > MAX_JSON_DEPTH:
        raise BadInput("The JSON is nested too deeply")
    if isinstance(value, str):
        check_text(path, value)
    elif isinstance(value, dict):
        for name, item in value.items():
            check_text("", name)
            _check_value(f"{path}/{name}" if path else name, item, depth + 1)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _check_value(f"{path}/{index}" if path else str(index), item, depth + 1)
