"""aTES: one company's task board with a pay ledger behind it."""

from __future__ import annotations

import os

from flask import Flask
from flask_migrate import Migrate

from app.kernel.db import db
from app.kernel.settings import Settings
from app.web.config import configure


def create_app(settings: Settings | None = None, *, process: str = "web") -> Flask:
    """The application, from `settings` or the environment; `process` is `web` or `worker`."""
    app = Flask(__name__, template_folder="../templates", static_folder="../static")
    configure(app, settings or Settings.from_env(os.environ), process=process)
    db.init_app(app)
    Migrate(app, db, render_as_batch=False)
    return app
