"""Pieces of pages that are written once and kept.

Most of a page is what other pages were too: the same rows, options, dialogs. Such a piece is a
template of its own that knows the names it is given and nothing else: no request, nobody signed
in, no token. How its reader reads (language, time zone, this year) counts as one of the names. So
a piece that is kept cannot be out of date, and holds nothing that is another's: whatever is said
differently has other names, and is another piece.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

from flask import Flask, current_app
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from app.web.language import Writing, writing

# Rows take about 1 KB each, with what they are known by 2; other pieces 3 to 50.
ROWS_MAX, PIECES_MAX = 8192, 512
_GLOBALS = ("_", "gettext", "ngettext", "url_for", "asset", "range", "namespace")
EXTENSION = "ates-pieces"


def init_app(app: Flask) -> None:
    """Give the templates of `app` `kept`, `kept_row`, `kept_rows` and `kept_people`.

    What a name stands for is hashable, or a list or a dict of such: then the piece gets a tuple or
    a dict that is its own.
    """
    pieces = app.jinja_env.overlay(undefined=StrictUndefined)
    pieces.globals = {name: app.jinja_env.globals[name] for name in _GLOBALS}
    app.jinja_env.globals.update(
        kept=kept, kept_row=kept_row, kept_rows=kept_rows, kept_people=kept_people
    )
    app.extensions[EXTENSION] = pieces


def kept(template: str, /, **names: Any) -> Markup:
    """`template` as it is with these names, in the words of this request's reader.

    Raises jinja2.UndefinedError for a template that asks for more than its names.
    """
    write, pieces = _writer(_write_piece)
    fixed = tuple((name, _fixed(value)) for name, value in names.items())
    return write(pieces, template, writing(), fixed)


def kept_row(template: str, name: str, thing: Any) -> Markup:
    """The same of a row, or of a part of one, that knows one thing by `name`."""
    return kept_rows(template, name, [thing])


def kept_rows(template: str, name: str, things: Iterable[Any]) -> Markup:
    """The row of each of `things`."""
    (write, pieces), how = _writer(_write_row), writing()
    written = [write(pieces, template, how, ((name, _fixed(thing)),)) for thing in things]
    return Markup("".join(written))  # noqa: S704 - of templates


def kept_people(people: str, chosen: int | None) -> Markup:
    """The options of `people`, a text of app.kernel.people; who is `chosen` is marked in the piece.

    So it is kept once, and not for each choice.
    """
    options = kept("web/_people.html", people=people)
    option = f'<option value="{chosen}"'
    marked = str(options).replace(f"{option}>", f"{option} selected>", 1)
    return Markup(marked)  # noqa: S704 - a template's


class _Fixed(dict[str, Any]):
    """A dict that nobody changes, so that it can be a key."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(tuple(self.items()))


def _fixed(value: Any) -> Any:
    kind = type(value)
    if kind is list:
        return tuple(map(_fixed, value))
    if kind is dict:
        return _Fixed((name, _fixed(part)) for name, part in value.items())
    return value


def _writer(keeping: Any) -> tuple[Callable[..., Markup], Environment]:
    """What writes pieces, and their templates."""
    pieces: Environment = current_app.extensions[EXTENSION]
    # Where templates are loaded anew, somebody is writing them.
    return (_write if pieces.auto_reload else keeping), pieces


def _write(
    pieces: Environment, template: str, _writing: Writing, names: tuple[tuple[str, Any], ...]
) -> Markup:
    return Markup(pieces.get_template(template).render(dict(names)))  # noqa: S704 - a template's


_write_row = lru_cache(maxsize=ROWS_MAX)(_write)
_write_piece = lru_cache(maxsize=PIECES_MAX)(_write)
