"""What the API's answers look like: amounts, and lists that come in pages."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any


def money(cents: int) -> str:
    """An amount in minor units as the API writes it."""
    return f"{Decimal(cents) / 100:.2f}"


def pages(caller: Any, url: str, between: Callable[[], object] = lambda: None) -> list[Any]:
    """The items of all pages, with `between` called after each."""
    items, cursor = [], ""
    for _ in range(100):
        page = caller.get(f"{url}{cursor}").json
        items += page["items"]
        if page["next_cursor"] is None:
            return items
        between()
        cursor = f"&cursor={page['next_cursor']}"
    raise AssertionError("the pages do not end")
