"""The task tracker: tasks, who has them, and the log of what happened to them."""
