"""Languages, time zones, and how templates write money and moments."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import flask_babel
from babel import Locale
from babel.support import NullTranslations
from flask import Flask, Response, current_app, g, has_request_context, request
from flask_babel import Babel
from jinja2.nodes import EvalContext
from jinja2.utils import pass_eval_context
from markupsafe import Markup

from app.kernel.messages import Said
from app.kernel.settings import Settings
from app.web.formats import DateFormat, MoneyFormat, date_format, money_format
from app.web.sessions import signed_in

LANGUAGES = ("en", "ru")
THEMES = ("light", "dark")
LANGUAGE_COOKIE = "lang"
THEME_COOKIE = "theme"
COOKIE_AGE = timedelta(days=365)


@dataclass(frozen=True, slots=True, eq=False)
class Writing:
    """How somebody reads. Readers who read alike have the same one."""

    money: MoneyFormat
    dates: DateFormat
    zone: ZoneInfo
    this_year: int
    translations: NullTranslations


def init_app(app: Flask) -> None:
    """Choose each request's language; give templates their filters."""
    Babel(app, locale_selector=language, timezone_selector=_time_zone)
    app.jinja_env.globals.update(_=gettext, gettext=gettext)
    app.add_template_filter(money)
    app.add_template_filter(signed_money)
    app.add_template_filter(whole_money)
    app.add_template_filter(moment)
    app.add_template_filter(brief_moment)
    app.add_template_filter(day)
    app.add_template_filter(translated)


def language() -> str:
    """`en` or `ru`: the user's setting, else the cookie, else what the browser accepts."""
    if not has_request_context():
        return LANGUAGES[0]
    return chosen_language() or request.accept_languages.best_match(LANGUAGES) or LANGUAGES[0]


def theme() -> str:
    """`light`, `dark` or `system`: the user's setting, else the cookie."""
    return chosen_theme() or "system"


def chosen_language() -> str | None:
    """The language that somebody chose: in their settings, else in this browser."""
    user = signed_in()
    chosen = (user.locale if user else None) or request.cookies.get(LANGUAGE_COOKIE)
    return chosen if chosen in LANGUAGES else None


def chosen_theme() -> str | None:
    """The theme that somebody chose, as `chosen_language`."""
    user = signed_in()
    chosen = (user.theme if user else None) or request.cookies.get(THEME_COOKIE)
    return chosen if chosen in THEMES else None


def remember(response: Response, cookie: str, value: str | None) -> None:
    """Keep a choice in this browser too, for its pages that nobody is signed in to."""
    settings: Settings = current_app.config["SETTINGS"]
    if value is None:
        response.delete_cookie(cookie)
        return
    response.set_cookie(
        cookie,
        value,
        max_age=COOKIE_AGE,
        secure=settings.cookie_secure,
        httponly=True,
        samesite="Lax",
    )


@pass_eval_context
def gettext(context: EvalContext, message: str, /, **names: Any) -> str:
    """What templates call `_`: the message in the reader's language, with `%(name)s` filled in.

    A page says about a hundred messages, and most have no names to fill in: those are kept.
    """
    translations = writing().translations
    if not context.autoescape:
        return str(translations.ugettext(message)) % names
    if not names:
        return _plain(translations, message)
    return Markup(translations.ugettext(message)) % names  # noqa: S704 - our own words


@lru_cache(maxsize=4096)
def _plain(translations: NullTranslations, message: str) -> Markup:
    return Markup(translations.ugettext(message)) % {}  # noqa: S704 - our own words


def refresh() -> None:
    """Find out again how this request's reader reads, whose settings have changed."""
    flask_babel.refresh()
    g.pop("writing", None)


def translated(message: str) -> str:
    """A message of the kernel or of a command in the reader's language.

    The sources write apostrophes straight, and a rule's name is the key of its results; pages
    write them curved.
    """
    template = message.template if isinstance(message, Said) else message
    words = str(flask_babel.gettext(template)).replace("'", "\N{RIGHT SINGLE QUOTATION MARK}")
    if not isinstance(message, Said) or not message.names:
        return words
    return words % {name: _written(value) for name, value in message.names.items()}


def money(cents: int) -> str:
    """The amount in the company's currency, as the reader's language writes it."""
    return writing().money.write(cents)


def signed_money(cents: int) -> str:
    """The same with a plus sign before what was credited."""
    return f"+{money(cents)}" if cents > 0 else money(cents)


def whole_money(cents: int) -> str:
    """The same without cents, where there are none."""
    return writing().money.write_whole(cents)


def moment(at: datetime) -> str:
    """Date and time in the reader's time zone, short; the year only when it is another one."""
    how = writing()
    return how.dates.write_moment(at.astimezone(how.zone), how.this_year)


def brief_moment(at: datetime) -> str:
    """The same, of today only the time of day: where a list's rows would repeat the date."""
    how = writing()
    local = at.astimezone(how.zone)
    is_today = local.date() == datetime.now(how.zone).date()
    return how.dates.write_time(local) if is_today else moment(at)


def day(of: date) -> str:
    """A calendar day, short; the year only when it is another one."""
    how = writing()
    return how.dates.write_day(of, how.this_year)


def _written(value: Any) -> Any:
    return day(value) if isinstance(value, date) else value


def writing() -> Writing:
    """How the reader of this request reads: found once, since a page writes hundreds of figures."""
    if not has_request_context():
        return _find_writing()
    found: Writing | None = g.get("writing")
    if found is None:
        found = g.writing = _find_writing()
    return found


def _find_writing() -> Writing:
    settings: Settings = current_app.config["SETTINGS"]
    locale = flask_babel.get_locale() or Locale(LANGUAGES[0])
    # Babel's zones are pytz's, which take ten times as long to tell the hour.
    zone = ZoneInfo(str(flask_babel.get_timezone()))
    this_year = datetime.now(zone).year
    return _kept_writing(locale, settings.currency, zone, this_year, flask_babel.get_translations())


@lru_cache(maxsize=1024)
def _kept_writing(
    locale: Locale, currency: str, zone: ZoneInfo, this_year: int, words: NullTranslations
) -> Writing:
    return Writing(
        money=money_format(locale, currency),
        dates=date_format(locale),
        zone=zone,
        this_year=this_year,
        translations=words,
    )


def _time_zone() -> str | None:
    user = signed_in() if has_request_context() else None
    return user.time_zone if user else None
