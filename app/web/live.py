"""Whether a page is still fresh: a cheap version of what it shows, a 304 while that is the same.

A version is made of parts, `money=7;tasks=12`: app.js compares them one by one, and renews or
tells only what changed (static/app.js says how a page asks for that).
"""

from __future__ import annotations

from typing import Any

from flask import Response, make_response, request


def version(**parts: Any) -> str:
    """The parts of a page's version, numbers that change when what they stand for does."""
    return ";".join(f"{name}={value}" for name, value in sorted(parts.items()))


def answer(found: str, **words: str) -> Response:
    """The version, with `words` that tell of a change in its parts; 304 while it is the same."""
    response = make_response({"version": found, "words": words})
    response.set_etag(found)
    response.make_conditional(request)
    return response
