"""Money: integer minor units inside, a decimal string with a currency code outside."""

from __future__ import annotations

from app.kernel.errors import BadInput

MINOR_PER_MAJOR = 100


def decimal_string(cents: int) -> str:
    """The amount as the API writes it: 1234 -> "12.34", -5 -> "-0.05"."""
    major, minor = divmod(abs(cents), MINOR_PER_MAJOR)
    return f"{'-' if cents < 0 else ''}{major}.{minor:02d}"


def parse_decimal_string(text: str) -> int:
    """The reverse of `decimal_string`. Raises BadInput for anything else."""
    sign, digits = (-1, text[1:]) if text.startswith("-") else (1, text)
    major, point, minor = digits.partition(".")
    well_formed = point and major.isascii() and major.isdigit() and len(major) <= 15
    if not (well_formed and minor.isascii() and minor.isdigit() and len(minor) == 2):
        raise BadInput(f"not an amount: {text!r}")
    return sign * (int(major) * MINOR_PER_MAJOR + int(minor))
