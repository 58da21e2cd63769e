"""The only clock: puts the jobs of app.schedules on the worker's queue when they are due."""

from __future__ import annotations

from app import create_app
from app.guardian import heartbeat
from app.kernel import settings
from app.schedules import SCHEDULE, run

if __name__ == "__main__":
    heartbeat.watch(create_app(process="worker"))
    run(settings.current().redis_url, SCHEDULE)
