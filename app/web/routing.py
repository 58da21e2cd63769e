"""How addresses are read."""

from __future__ import annotations

from typing import Any

from flask import Flask
from werkzeug.routing import IntegerConverter

# More digits than any id has; a number that PostgreSQL cannot hold is not found, not an error.
ID_MAX = 10**18 - 1


class IdConverter(IntegerConverter):
    """`<int:…>` of an address: an id."""

    def __init__(self, url_map: Any, *args: Any, **options: Any) -> None:
        options.setdefault("max", ID_MAX)
        super().__init__(url_map, *args, **options)


def init_app(app: Flask) -> None:
    """Read the ids in addresses of `app` within bounds (before its blueprints are registered)."""
    app.url_map.converters["int"] = IdConverter
