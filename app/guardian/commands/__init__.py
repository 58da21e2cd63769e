"""Writes of the guardian: its rounds and what they found, the emergency stop and its end."""

from app.guardian.commands.rounds import (
    Finding,
    check_everything,
    check_increment,
    check_next_whole,
)
from app.guardian.commands.stopping import resume, stop

__all__ = ["Finding", "check_everything", "check_increment", "check_next_whole", "resume", "stop"]
