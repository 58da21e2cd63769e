"""The web application, as gunicorn serves it."""

from __future__ import annotations

from app import create_app
from app.guardian import heartbeat

app = create_app()
heartbeat.watch(app)
