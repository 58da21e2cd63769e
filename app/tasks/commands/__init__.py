"""Writes of the task tracker: creating, completing, reassigning."""

from app.tasks.commands.assigning import (
    COMPLETE_TASK,
    CreatedTask,
    complete_task,
    create_task,
    create_tasks,
    hand_over,
    reassign_tasks,
)

__all__ = [
    "COMPLETE_TASK",
    "CreatedTask",
    "complete_task",
    "create_task",
    "create_tasks",
    "hand_over",
    "reassign_tasks",
]
