"""/styleguide: every component with its call, for those who build pages (only with ATES_DEV=1)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from flask import Blueprint, Flask, current_app, render_template, render_template_string
from markupsafe import Markup

from app.web.access import public
from app.web.forms import Form

blueprint = Blueprint("styleguide", __name__)

IMPORTS = """
{% from 'macros/forms.html' import tokens, sure, button, link_button, field, textarea, file_field,
   select, error_summary with context %}
{% from 'macros/data.html' import amount, result, when, on_day, who, email, badge, notice, table,
   tiles, tile, empty, pager %}
{% from 'macros/charts.html' import bars, steps, lines, sparkline %}
{% from 'macros/overlays.html' import dialog, menu, toast, key_line %}
{% from 'macros/progress.html' import progress %}
{% from 'macros/words.html' import task_state %}
{% from 'macros/icons.html' import icon %}
"""
DAYS = [date(2026, 11, 1) + timedelta(days=number) for number in range(14)]
INCOME = [{"day": day, "cents": (day.day * 7919) % 90_000 - 40_000} for day in DAYS]
FEES = [{"day": day, "cents": (day.day * 5711) % 60_000 + 20_000} for day in DAYS]
OPEN = [{"day": day, "number": (day.day * 37) % 60 + 10} for day in DAYS]
SAMPLES = "web/_samples.html"
_NAME = re.compile(r"^## (.+)\n", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Sample:
    """A component: its name, its call, and what the call makes."""

    name: str
    call: str
    html: Markup


@blueprint.get("/styleguide")
@public
def styleguide() -> str:
    """Every component, with the call that makes it."""
    made = [_made(*sample) for sample in samples(current_app)]
    return render_template("web/styleguide.html", samples=made)


def samples(app: Flask) -> list[tuple[str, str]]:
    """Each component's name and its call, as they stand in the file of samples."""
    loader = app.jinja_env.loader
    source = loader.get_source(app.jinja_env, SAMPLES)[0] if loader else ""
    _, *found = _NAME.split(source)
    return [(name, call.strip()) for name, call in zip(found[::2], found[1::2], strict=True)]


def _made(name: str, call: str) -> Sample:
    html = render_template_string(
        IMPORTS + call,
        form=Form(
            {"login": "kesha", "email": "kesha@", "reason": "", "role": "boss"},
            {"email": "This is not an e-mail address"},
        ),
        income=INCOME,
        fees=FEES,
        open=OPEN,
        day=DAYS[0],
        moment=datetime(2026, 11, 22, 16, 42, tzinfo=UTC),
    )
    return Sample(name, call, Markup(html))  # noqa: S704 - made of the samples above alone
