"""Reading a backlog: a CSV file in the shape of Jira's export."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from app.kernel.errors import AtesError, BadInput
from app.tasks.models import Draft, checked_description, split_name

MAX_BYTES = 50 * 1024 * 1024
MAX_ROWS = 100_000
MAX_FIELD = 1024 * 1024
REPORTED = 100
NAME, KEY, DESCRIPTION = "summary", "issue key", "description"


class BadFile(AtesError):
    """The file was refused; `reasons` name each bad row by its line, at most REPORTED of them."""

    status = 422
    title = "The file was refused: nothing was imported"

    def __init__(self, reasons: list[str]) -> None:
        super().__init__(f"{self.title}. {reasons[0]}")
        self.reasons = reasons


def read_backlog(path: Path) -> list[Draft]:
    """The tasks of the CSV file at `path`.

    UTF-8 with or without a BOM, LF or CRLF, quoted fields with newlines in them; the columns
    `Summary` (needed), `Issue key` and `Description`, others ignored, names in any case. All or
    nothing: raises BadFile with every bad row's line and reason.
    """
    try:
        content = path.read_bytes() if path.stat().st_size <= MAX_BYTES else None
    except OSError as error:
        raise BadFile([f"{path}: {error.strerror}"]) from error
    if content is None:
        raise BadFile([f"{path}: larger than {MAX_BYTES // 1024 // 1024} MiB"])
    return parse_backlog(content)


def parse_backlog(content: bytes) -> list[Draft]:
    """The tasks in the bytes of a CSV file; see `read_backlog`."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise BadFile([f"line {line}: not UTF-8"]) from error
    csv.field_size_limit(MAX_FIELD)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        return _drafts(reader)
    except csv.Error as error:
        raise BadFile([f"line {reader.line_num}: {error}"]) from error


def _drafts(reader: Any) -> list[Draft]:
    columns = _columns(next(reader, []))
    drafts, reasons = list[Draft](), list[str]()
    while True:
        line = reader.line_num + 1  # a row may span lines: it is named by its first
        row = next(reader, None)
        if row is None:
            break
        if not any(field.strip() for field in row):
            continue
        try:
            drafts.append(_draft(row, columns))
        except BadInput as error:
            reasons.append(f"line {line}: {'; '.join(error.fields.values())}")
        if len(drafts) > MAX_ROWS:
            raise BadFile([f"line {line}: more than {MAX_ROWS} tasks"])
        if len(reasons) >= REPORTED:
            break
    if reasons:
        raise BadFile(reasons)
    if not drafts:
        raise BadFile(["no tasks in it"])
    return drafts


def _columns(header: list[str]) -> dict[str, int]:
    """Where each column stands; Jira repeats names, of which the first counts."""
    columns: dict[str, int] = {}
    for number, name in enumerate(header):
        columns.setdefault(name.strip().casefold(), number)
    if NAME not in columns:
        raise BadFile(["line 1: no column Summary: the file needs a header row"])
    return columns


def _draft(row: list[str], columns: dict[str, int]) -> Draft:
    def field(name: str) -> str:
        number = columns.get(name)
        return row[number].strip() if number is not None and number < len(row) else ""

    for name in (NAME, KEY, DESCRIPTION):
        if "\x00" in field(name):
            raise BadInput(fields={name: f"{name} holds a NUL character"})
    # Jira allows brackets in a summary; a task's name does not hold any.
    name = field(NAME).replace("[", "(").replace("]", ")")
    text = f"[{field(KEY)}] {name}" if field(KEY) else name
    split_name(text)
    return Draft(text, checked_description(field(DESCRIPTION)))
