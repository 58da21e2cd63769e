"""The guardian's pages: health with stop and resume, the flow of events, dead letters."""

from app.guardian.pages import events, health, letters
from app.guardian.pages.blueprint import blueprint

__all__ = ["blueprint", "events", "health", "letters"]
