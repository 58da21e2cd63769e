"""Words for the next page that bring the way back with them."""

from __future__ import annotations

from collections.abc import Mapping

from flask import flash


def flash_undo(words: str, url: str, fields: Mapping[str, str]) -> None:
    """Say `words` on the next page, with a button that sends `fields` to `url`, as they were."""
    flash({"words": words, "url": url, "fields": dict(fields)}, "undo")  # type: ignore[arg-type]
