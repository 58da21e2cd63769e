"""CSV files: streamed, and safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence

from flask import Response, stream_with_context

from app.kernel.errors import BadInput
from app.kernel.money import parse_decimal_string

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
ROWS_AT_ONCE = 500


def csv_response(name: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Response:
    """An answer that streams `rows` as the file `name`: UTF-8 with a BOM, CRLF."""
    body = stream_with_context(_lines(columns, rows))
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(body, mimetype="text/csv", headers=headers)


def _lines(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    buffer.write("\ufeff")
    writer.writerow(columns)
    for number, row in enumerate(rows, start=1):
        writer.writerow([inert(cell) for cell in row])
        if number % ROWS_AT_ONCE == 0:
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()


def inert(cell: object) -> str:
    """The cell as text that no spreadsheet runs as a formula; amounts stay as they are."""
    text = "" if cell is None else str(cell)
    if not text.startswith(_FORMULA) or _is_amount(text):
        return text
    return "'" + text


def _is_amount(text: str) -> bool:
    try:
        parse_decimal_string(text)
    except BadInput:
        return False
    return True
