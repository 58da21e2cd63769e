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

# About 1 KB each: some fifty pages of rows for each of a few readers' languages and zones.
PIECES_MAX = 8192
_GLOBALS = ("_", "gettext", "ngettext", "url_for", "asset", "range", "namespace")
_EXTENSION = "ates-pieces"


def init_app(app: Flask) -> None:
    """Give the templates of `app` `kept` and `kept_each`.

    What a name stands for is hashable, or a list or a dict of such: then the piece gets a tuple or
    a dict that is its own.

    A template that asks for more than its names raises jinja2.UndefinedError.
    """
    pieces = app.jinja_env.overlay(undefined=StrictUndefined)
    pieces.globals = {name: app.jinja_env.globals[name] for name in _GLOBALS}
    app.jinja_env.globals.update(kept=kept, kept_each=kept_each)
    app.extensions[_EXTENSION] = pieces


def kept(template: str, /, **names: Any) -> Markup:
    """`template` as it is with these names, in the words of this request's reader."""
    write, pieces = _writer()
    fixed = tuple((name, _fixed(value)) for name, value in names.items())
    return write(pieces, template, writing(), fixed)


def kept_each(template: str, name: str, things: Iterable[Any]) -> Markup:
    """The template once for each of `things`, which it knows by `name`."""
    (write, pieces), how = _writer(), writing()
    written = [write(pieces, template, how, ((name, _fixed(thing)),)) for thing in things]
    return Markup("".join(written))  # noqa: S704 - of templates


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


def _writer() -> tuple[Callable[..., Markup], Environment]:
    pieces: Environment = current_app.extensions[_EXTENSION]
    # Where templates are loaded anew, somebody is writing them.
    return (_write.__wrapped__ if pieces.auto_reload else _write), pieces


@lru_cache(maxsize=PIECES_MAX)
def _write(
    pieces: Environment, template: str, _writing: Writing, names: tuple[tuple[str, Any], ...]
) -> Markup:
    return Markup(pieces.get_template(template).render(dict(names)))  # noqa: S704 - a template's
