"""Asking for the password again, for contexts that do not know how people sign in."""

from __future__ import annotations

from collections.abc import Callable

from flask import Flask, current_app

_EXTENSION = "ates-confirmation"


def init_app(app: Flask, check: Callable[[], None]) -> None:
    """Set what checks the form's `own_password`: it raises BadInput for a wrong one."""
    app.extensions[_EXTENSION] = check


def confirm_password() -> None:
    """Check the password that came with the form. Raises BadInput, TooManyRequests."""
    current_app.extensions[_EXTENSION]()
