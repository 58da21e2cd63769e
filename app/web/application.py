"""The Flask application as aTES uses it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Flask

from app.web.sessions import PageCookies


class Application(Flask):
    """Flask without asynchronous views, and with cookies for pages alone."""

    session_interface = PageCookies()

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """The function itself: looking whether it is a coroutine 16 times a request costs 5 %."""
        return func
