"""The Flask application as aTES uses it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from flask import Flask, Response

from app.web import joined
from app.web.sessions import PageCookies


class Application(Flask):
    """Flask without asynchronous views, and with cookies for pages alone."""

    session_interface = PageCookies()

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """The function itself: looking whether it is a coroutine 16 times a request costs 5 %."""
        return func

    def send_static_file(self, filename: str) -> Response:
        """A file of static/, or one that is joined of some of them."""
        if filename in joined.FILES:
            return joined.send(Path(self.static_folder or ""), filename)
        return super().send_static_file(filename)
