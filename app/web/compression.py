"""Text goes over the wire as gzip."""

from __future__ import annotations

import gzip
import secrets
from functools import lru_cache

from flask import Flask, Response, request

SMALLEST = 1024
TEXT = (
    "text/",
    "application/json",
    "application/problem+json",
    "application/javascript",
    "image/svg+xml",
)
# A page is made anew each time: 3 takes half as long as 5, for a tenth more bytes.
PAGE_LEVEL = 3
FILE_LEVEL = 9
# A page holds a CSRF token beside words that its address brought along; how well the two compress
# together could tell the token (BREACH). A comment of random length in the header hides that.
PADDING = 64
_HEADER_BYTES = 10
_FLAGS = 3
_HAS_COMMENT = 0x10


def init_app(app: Flask) -> None:
    """Compress what `app` answers. Call it first: what is registered first answers last."""
    app.after_request(_compress)


def _compress(response: Response) -> Response:
    if not _is_worthwhile(response):
        return response
    response.vary.add("Accept-Encoding")
    if request.accept_encodings["gzip"] <= 0:
        return response
    is_file = response.direct_passthrough
    response.direct_passthrough = False
    plain = response.get_data()
    response.set_data(_file(plain) if is_file else _padded(plain))
    response.headers["Content-Encoding"] = "gzip"
    etag, _ = response.get_etag()
    if etag:
        response.set_etag(etag, weak=True)  # the same content, but not the same bytes
    return response


def _is_worthwhile(response: Response) -> bool:
    """Whole answers of text, long enough; a stream stays one."""
    return (
        response.status_code not in (204, 206, 304)
        and request.method != "HEAD"
        and (response.mimetype or "").startswith(TEXT)
        and (response.direct_passthrough or not response.is_streamed)
        and "Content-Encoding" not in response.headers
        and (response.calculate_content_length() or response.content_length or 0) >= SMALLEST
    )


@lru_cache(maxsize=64)
def _file(plain: bytes) -> bytes:
    return gzip.compress(plain, FILE_LEVEL, mtime=0)


def _padded(plain: bytes) -> bytes:
    """`plain` as gzip, with a comment of random length after the header (RFC 1952)."""
    packed = bytearray(gzip.compress(plain, PAGE_LEVEL, mtime=0))
    packed[_FLAGS] |= _HAS_COMMENT
    comment = b"." * secrets.randbelow(PADDING) + b"\0"
    packed[_HEADER_BYTES:_HEADER_BYTES] = comment
    return bytes(packed)
