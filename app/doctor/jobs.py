"""What the doctor asks of a running worker."""

from __future__ import annotations

from app.doctor.scenario import play


def echo(word: str) -> str:
    """Say the word back: somebody serves this queue."""
    return word


def play_here() -> str:
    """Play the scenarios in the worker, with the program and the rights that it has."""
    return str(play())
