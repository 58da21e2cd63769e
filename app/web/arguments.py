"""What an address carries, read strictly."""

from __future__ import annotations

from flask import request

from app.kernel.errors import BadInput

MAX_DIGITS = 18  # what surely fits a bigint


def whole_number(name: str) -> int | None:
    """The argument `name`, or None when it is missing or empty. Raises BadInput."""
    text = request.args.get(name, "")
    if not text:
        return None
    if not is_whole_number(text):
        raise BadInput(fields={name: "A whole number"})
    return int(text)


def is_whole_number(text: str) -> bool:
    """Whether `text` is an id as we write it: ASCII digits, not too many."""
    return text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS
