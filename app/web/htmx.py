"""htmx: what kind of answer is wanted, and the response headers that steer it."""

from __future__ import annotations

import json
from typing import Any

from flask import Flask, Response, make_response, redirect, render_template
from htmx_flask import Htmx
from htmx_flask import request as htmx_request


def init_app(app: Flask) -> None:
    """Give the requests of `app` their `htmx` attribute."""
    Htmx(app)


def wants_fragment() -> bool:
    """Whether a part of the page is wanted: not when htmx boosts a link or restores history."""
    asked = htmx_request.htmx
    return bool(asked) and not asked.boosted and not asked.history_restore_request


def page(
    template: str, fragment: str | None = None, status: int = 200, /, **names: Any
) -> Response:
    """Render `template`, or `fragment` (when there is one) for a request that wants a part."""
    chosen = fragment if fragment is not None and wants_fragment() else template
    return make_response(render_template(chosen, **names), status)


def go_to(url: str) -> Response:
    """Send the browser to `url` of ours after a change: 303, or HX-Redirect for a fragment."""
    if wants_fragment():
        return steer(make_response("", 200), redirect=url)
    return make_response(redirect(url, code=303))


def steer(
    response: Response,
    *,
    redirect: str | None = None,
    push_url: str | None = None,
    retarget: str | None = None,
    reswap: str | None = None,
    reselect: str | None = None,
    trigger: dict[str, Any] | None = None,
) -> Response:
    """Set htmx's response headers; `trigger` maps event names to their details."""
    headers = {
        "HX-Redirect": redirect,
        "HX-Push-Url": push_url,
        "HX-Retarget": retarget,
        "HX-Reswap": reswap,
        "HX-Reselect": reselect,
        "HX-Trigger": json.dumps(trigger) if trigger else None,
    }
    response.headers.update({name: value for name, value in headers.items() if value is not None})
    return response
