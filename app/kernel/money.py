"""Money: integer minor units inside, a decimal string with a currency code outside."""

from __future__ import annotations

import re

from app.kernel.errors import BadInput

MINOR_PER_MAJOR = 100
_AMOUNT = re.compile(r"(?P<sign>-?)(?P<major>[0-9]{1,15})\.(?P<minor>[0-9]{2})")


def decimal_string(cents: int) -> str:
    """The amount as the API writes it: 1234 -> "12.34", -5 -> "-0.05"."""
    major, minor = divmod(abs(cents), MINOR_PER_MAJOR)
    return f"{'-' if cents < 0 else ''}{major}.{minor:02d}"


def parse_decimal_string(text: str) -> int:
    """The reverse of `decimal_string`. Raises BadInput for anything else."""
    amount = _AMOUNT.fullmatch(text)
    if amount is None:
        raise BadInput(f"not an amount: {text!r}")
    cents = int(amount["major"]) * MINOR_PER_MAJOR + int(amount["minor"])
    return -cents if amount["sign"] else cents
