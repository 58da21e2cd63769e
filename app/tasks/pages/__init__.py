"""The task tracker's pages: my tasks, the board, a task's story, reassigning."""

from flask import Blueprint

blueprint = Blueprint("tasks", __name__)

from app.tasks.pages import board, own, story  # noqa: E402, F401 - they add their routes

__all__ = ["blueprint"]
