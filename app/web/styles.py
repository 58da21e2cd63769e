"""The one stylesheet of every page: files of static/ joined, so that a page waits for one."""

from __future__ import annotations

import hashlib
import io
from functools import lru_cache
from pathlib import Path

from flask import Response, send_file

NAME = "styles.css"
# In this order, each in its frame: paper's rules are for paper alone.
PARTS = (
    ("app.css", "{}"),
    ("components.css", "{}"),
    ("print.css", "@media print {{\n{}}}\n"),
)


@lru_cache(maxsize=1)
def joined(folder: Path) -> bytes:
    """The stylesheet; its parts are read once a process."""
    texts = [frame.format((folder / name).read_text(encoding="utf-8")) for name, frame in PARTS]
    return "".join(texts).encode()


def send(folder: Path) -> Response:
    """The stylesheet as an answer, as Flask sends a file."""
    content = joined(folder)
    etag = hashlib.sha256(content).hexdigest()
    return send_file(io.BytesIO(content), mimetype="text/css", etag=etag)
