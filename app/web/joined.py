"""Files that are joined of some in static/: a page asks for one stylesheet and one script."""

from __future__ import annotations

import hashlib
import io
from functools import lru_cache
from pathlib import Path

from flask import Response, send_file

# By name: its type, and its parts in their order, each in its frame: paper's rules are for paper
# alone.
FILES: dict[str, tuple[str, tuple[tuple[str, str], ...]]] = {
    "styles.css": (
        "text/css",
        (
            ("app.css", "{}"),
            ("components.css", "{}"),
            ("print.css", "@media print {{\n{}}}\n"),
        ),
    ),
    # What every page has, and what the REST API's page has besides.
    "api-docs.js": ("text/javascript", (("app.js", "{}"), ("operations.js", "{}"))),
}


@lru_cache(maxsize=len(FILES))
def joined(folder: Path, name: str) -> bytes:
    """The file; its parts are read once a process."""
    _, parts = FILES[name]
    texts = [frame.format((folder / part).read_text(encoding="utf-8")) for part, frame in parts]
    return "".join(texts).encode()


def send(folder: Path, name: str) -> Response:
    """The file as an answer, as Flask sends one of static/."""
    content = joined(folder, name)
    etag = hashlib.sha256(content).hexdigest()
    return send_file(io.BytesIO(content), mimetype=FILES[name][0], etag=etag)
