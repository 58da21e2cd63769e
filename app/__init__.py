"""aTES: one company's task board with a pay ledger behind it."""

from __future__ import annotations

import os
from functools import partial

import click
from flask import Flask
from flask_migrate import Migrate

from app import auth, cli, subscriptions
from app.accounting.api import blueprint as accounting_api
from app.accounting.pages import blueprint as accounting_pages
from app.analytics.api import blueprint as analytics_api
from app.analytics.pages import blueprint as analytics_pages
from app.auth.pages.reauthentication import reauthenticate
from app.demo.company import sign_in_offer
from app.guardian.pages import blueprint as guardian_pages
from app.kernel import settings as kernel_settings
from app.kernel.db import db
from app.kernel.errors import SettingsError
from app.kernel.settings import Settings
from app.notifications.pages import blueprint as notifications_pages
from app.outbox import doorbell
from app.payments.pages import blueprint as payments_pages
from app.tasks.api import blueprint as tasks_api
from app.tasks.pages import blueprint as tasks_pages
from app.web import (
    access,
    compression,
    config,
    confirmation,
    context,
    csrf,
    drafts,
    errors,
    filters,
    headers,
    htmx,
    hygiene,
    kept,
    language,
    logs,
    metrics,
    openapi,
    pages,
    sessions,
    stopped,
    styleguide,
    uploads,
)
from app.web.application import Application


def create_app(settings: Settings | None = None, *, process: str = "web") -> Flask:
    """The application, from `settings` or the environment; `process` is `web` or `worker`."""
    settings = settings or _settings()
    app = Application(__name__, template_folder="../templates", static_folder="../static")
    kernel_settings.use(settings)
    config.configure(app, settings, process=process)
    db.init_app(app)
    Migrate(app, db, render_as_batch=False)
    doorbell.hang(settings.redis_url)
    subscriptions.subscribe()

    compression.init_app(app)
    # The order of these is the order in which they look at a request.
    logs.init_app(app)
    headers.init_app(app, settings)
    errors.init_app(app)
    sessions.init_app(app)
    htmx.init_app(app)
    uploads.init_app(app)
    hygiene.init_app(app)
    access.init_app(app)
    csrf.init_app(app)
    language.init_app(app)
    drafts.init_app(app)
    filters.init_app(app)
    stopped.init_app(app)
    context.init_app(app)
    kept.init_app(app)
    confirmation.init_app(app, partial(reauthenticate, always=True))
    openapi.init_app(app)
    metrics.init_app(app)

    app.register_blueprint(pages.blueprint)
    auth.init_app(app)
    app.register_blueprint(tasks_pages)
    app.register_blueprint(accounting_pages)
    app.register_blueprint(payments_pages)
    app.register_blueprint(notifications_pages)
    app.register_blueprint(analytics_pages)
    app.register_blueprint(guardian_pages)
    openapi.register(app, tasks_api)
    openapi.register(app, accounting_api)
    openapi.register(app, analytics_api)
    if settings.dev:
        app.register_blueprint(styleguide.blueprint)
    cli.init_app(app)

    app.config["DEMO_SIGN_IN"] = sign_in_offer(settings)
    access.check_policies(app)
    return app


def _settings() -> Settings:
    """The settings of the environment; a command line says in one line what is wrong with them."""
    try:
        return Settings.from_env(os.environ)
    except SettingsError as error:
        if click.get_current_context(silent=True) is None:
            raise
        raise click.ClickException(error.message) from error
