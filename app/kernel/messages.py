"""Messages that a page says in the reader's language, and everything else in English."""

from __future__ import annotations

from typing import Any, Self


class Said(str):
    """A message in English that remembers what it was made of, so that it can be translated."""

    __slots__ = ("names", "template")
    template: str
    names: dict[str, Any]

    def __new__(cls, template: str, names: dict[str, Any]) -> Self:
        """`template` with `%(name)s` for each of `names`."""
        message = super().__new__(cls, template % names if names else template)
        message.template = template
        message.names = names
        return message

    def __str__(self) -> str:
        """The message itself: str() must not lose what it was made of."""
        return self


def said(template: str, **names: Any) -> Said:
    """Mark a message for translation: `said("At most %(count)s characters", count=20)`.

    The words directly inside an error of the family, `Conflict("…")`, need no mark.
    """
    return Said(template, names)
