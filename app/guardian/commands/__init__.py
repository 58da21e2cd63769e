"""Writes of the guardian: its rounds and what they found, the emergency stop and its end."""

from app.guardian.commands.letters import (
    discard_letter,
    discard_letters,
    retry_letter,
    retry_letters,
)
from app.guardian.commands.rounds import (
    Finding,
    check_everything,
    check_increment,
    check_next_whole,
)
from app.guardian.commands.stopping import checked_reason, resume, stop

__all__ = [
    "Finding",
    "check_everything",
    "check_increment",
    "check_next_whole",
    "checked_reason",
    "discard_letter",
    "discard_letters",
    "resume",
    "retry_letter",
    "retry_letters",
    "stop",
]
