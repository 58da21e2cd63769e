"""Words that are looked for as they are, where SQL's LIKE has signs of its own."""

from __future__ import annotations


def like_literal(word: str) -> str:
    """`word` for a LIKE pattern that finds exactly it."""
    return word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
