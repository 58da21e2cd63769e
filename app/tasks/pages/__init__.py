"""The task tracker's pages: my tasks, the board, a task's story, reassigning, importing."""

from flask import Blueprint

blueprint = Blueprint("tasks", __name__)

from app.tasks.pages import board, importing, own, reassigning, story  # noqa: E402, F401 - they add their routes

__all__ = ["blueprint"]
