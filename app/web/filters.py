"""A filter in a page's address that is wrong: the page stays, and says so beside the field."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any, ParamSpec

from flask import Flask, Response, g, make_response, request
from werkzeug.datastructures import MultiDict

from app.kernel.errors import BadInput
from app.web import htmx
from app.web.language import translated

Names = ParamSpec("Names")


@dataclass(frozen=True, slots=True)
class Filter:
    """What was asked for: every word as it was typed, and what is wrong with some, by name."""

    typed: Mapping[str, str]
    errors: Mapping[str, str]


def init_app(app: Flask) -> None:
    """Give templates `wrong_filter()`: None unless something in the filter is wrong."""
    app.jinja_env.globals["wrong_filter"] = lambda: g.get("wrong_filter")


def kept_without_errors(view: Callable[Names, Any]) -> Callable[Names, Response]:
    """Show the page as if the words of its address that are wrong were not there, and answer 422.

    What htmx asks for is a part of a page that has its filter already: its error stays one.
    """

    @wraps(view)
    def shown(*values: Names.args, **names: Names.kwargs) -> Response:
        while True:
            try:
                response = make_response(view(*values, **names))
            except BadInput as error:
                wrong = error.fields.keys() & request.args.keys()
                if not wrong and "wrong_filter" in g:
                    # Without the first that were wrong, the others make no sense.
                    wrong = set(request.args)
                if not wrong or htmx.wants_fragment():
                    raise
                _drop(error, wrong)
                continue
            if "wrong_filter" in g:
                response.status_code = BadInput.status
            return response

    return shown


def _drop(error: BadInput, wrong: set[str]) -> None:
    """Have the request ask without its words `wrong`."""
    asked: Filter = g.get("wrong_filter") or Filter(request.args.to_dict(), {})
    errors = {name: translated(error.fields[name]) for name in sorted(wrong & error.fields.keys())}
    g.wrong_filter = Filter(asked.typed, {**asked.errors, **errors})
    request.args = MultiDict(
        (name, value) for name, value in request.args.items(multi=True) if name not in wrong
    )
