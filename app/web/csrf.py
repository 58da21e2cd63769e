"""CSRF tokens on every unsafe route of pages. The API takes no cookies, so it needs none."""

from __future__ import annotations

from flask import Flask, request
from flask_wtf.csrf import CSRFProtect

from app.web.sessions import is_api

UNSAFE = frozenset({"POST", "PUT", "PATCH", "DELETE"})
protection = CSRFProtect()


def init_app(app: Flask) -> None:
    """Check the token after the policy, so that an ended session is told as such."""
    protection.init_app(app)

    @app.before_request
    def check() -> None:
        if request.method in UNSAFE and request.endpoint and not is_api():
            protection.protect()
