"""HTML routes of the context: signing in, people, one's own settings."""

from app.auth.pages import people, settings, signing_in
from app.auth.pages.blueprint import blueprint

__all__ = ["blueprint", "people", "settings", "signing_in"]
