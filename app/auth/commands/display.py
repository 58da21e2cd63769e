"""How the pages are shown to a person: language, theme, time zone, keyboard shortcuts."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cache
from zoneinfo import available_timezones

from sqlalchemy.orm import Session

from app.kernel.actor import Actor
from app.kernel.db import command, sql
from app.kernel.errors import BadInput
from app.kernel.messages import said

LOCALES = (None, "en", "ru")
THEMES = (None, "light", "dark")

SET_DISPLAY = sql("""
UPDATE users SET locale = :locale, theme = :theme, time_zone = :time_zone, shortcuts = :shortcuts
WHERE id = :user_id
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Display:
    """What a person chose; None is the browser's language and theme, and the company's zone."""

    locale: str | None = None
    theme: str | None = None
    time_zone: str | None = None
    shortcuts: bool = True


@cache
def time_zones() -> tuple[str, ...]:
    """The names of all time zones, in order; read from the machine's files once."""
    return tuple(sorted(available_timezones()))


@command
def set_display(session: Session, actor: Actor, display: Display) -> None:
    """Show the pages to `actor` as they choose. Raises BadInput for what there is not."""
    wrong: dict[str, str] = {}
    if display.locale not in LOCALES:
        wrong["locale"] = said("There is no such language")
    if display.theme not in THEMES:
        wrong["theme"] = said("There is no such theme")
    if display.time_zone is not None and display.time_zone not in time_zones():
        wrong["time_zone"] = said("There is no such time zone")
    if wrong:
        raise BadInput(fields=wrong)
    session.execute(SET_DISPLAY, {"user_id": actor.user_id, **asdict(display)})
