"""Who is who: people, services, sessions, API tokens, invitations."""

from __future__ import annotations

from flask import Flask


def init_app(app: Flask) -> None:
    """Register the context's pages, API and commands with `app`."""
    from app.auth import api, cli, pages
    from app.web import openapi

    app.register_blueprint(pages.blueprint)
    openapi.register(app, api.blueprint)
    cli.init_app(app)
