"""Writes of the task tracker: creating, completing, reassigning, importing."""

from app.tasks.commands.assigning import (
    COMPLETE_TASK,
    CreatedTask,
    Reassigned,
    complete_task,
    create_task,
    create_tasks,
    hand_over,
    reassign_tasks,
)
from app.tasks.commands.importing import (
    UPLOAD_MAX_BYTES,
    UPLOAD_MAX_TASKS,
    discard_upload,
    import_backlog,
    prune_uploads,
    upload_backlog,
)

__all__ = [
    "COMPLETE_TASK",
    "UPLOAD_MAX_BYTES",
    "UPLOAD_MAX_TASKS",
    "CreatedTask",
    "Reassigned",
    "complete_task",
    "create_task",
    "create_tasks",
    "discard_upload",
    "hand_over",
    "import_backlog",
    "prune_uploads",
    "reassign_tasks",
    "upload_backlog",
]
