"""Files that come with a form: only to views that take one, and bounded in size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from flask import Flask, current_app, request

from app.kernel.errors import BadInput, TooLarge
from app.kernel.messages import said

View = TypeVar("View", bound=Callable[..., Any])
_MARK = "_ates_max_file_bytes"
# What a form needs beside its file: tokens, names, boundaries.
FORM_BYTES = 64 * 1024
MEGABYTE = 1024 * 1024


def takes_file(max_bytes: int) -> Callable[[View], View]:
    """Let the view's form bring a file of at most `max_bytes`; other forms are bounded lower."""

    def mark(view: View) -> View:
        setattr(view, _MARK, max_bytes)
        return view

    return mark


def init_app(app: Flask) -> None:
    """Set each request's bound before anything reads its form."""
    app.before_request(_bound)


def sent_file(name: str, max_bytes: int) -> tuple[str, bytes]:
    """The name and the bytes of the form's file `name`. Raises BadInput, TooLarge."""
    file = request.files.get(name)
    if file is None or not file.filename:
        raise BadInput(fields={name: "Choose a file"})
    content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise _too_large(max_bytes)
    return file.filename.replace("\\", "/").rpartition("/")[2].strip() or name, content


def _bound() -> None:
    view = current_app.view_functions.get(request.endpoint or "")
    max_bytes: int | None = getattr(view, _MARK, None)
    if max_bytes is None:
        return
    request.max_content_length = max_bytes + FORM_BYTES
    if (request.content_length or 0) > request.max_content_length:
        raise _too_large(max_bytes)


def _too_large(max_bytes: int) -> TooLarge:
    return TooLarge(
        said(
            "The file may have at most %(size)s MB: split it, and send the parts one by one",
            size=max_bytes // MEGABYTE,
        )
    )
