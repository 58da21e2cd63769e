"""Reading a backlog: a CSV file in the shape of Jira's export."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.kernel.errors import AtesError, BadInput
from app.kernel.messages import said
from app.tasks.models import Draft, checked_description, is_ticket_key, split_name

MAX_BYTES = 50 * 1024 * 1024
MAX_ROWS = 100_000
MAX_FIELD = 1024 * 1024
REPORTED = 100
NAME, KEY, DESCRIPTION = "summary", "issue key", "description"
# Spreadsheets of many countries write semicolons.
SEPARATORS = ",;\t"
# What Python's reader says, in our words; anything else it says is a quote out of its place.
_BROKEN = {
    "unexpected end of data": said("A quote is opened and never closed"),
    "field larger than field limit": said("A field is too long"),
}
_MISPLACED = said("A quote in the middle of a field: double it, and quote the whole field")


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a column of a line of a file, with the line, or with all of it."""

    what: str
    line: int | None = None
    column: str | None = None

    def __str__(self) -> str:
        place = [] if self.line is None else [f"line {self.line}"]
        return ": ".join([*place, *([self.column] if self.column else []), self.what])


class BadFile(AtesError):
    """The file was refused; `faults` are at most REPORTED, of bad rows by their lines."""

    status = 422
    title = "The file was refused: nothing was imported"

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__(f"{self.title}. {faults[0]}")
        self.faults = faults


@dataclass(slots=True)
class Backlog:
    """What a file holds: its tasks, its bad rows (at most REPORTED), and its columns by name."""

    used: list[str]
    ignored: list[str]
    drafts: list[Draft] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)


def read_backlog(path: Path) -> list[Draft]:
    """The tasks of the CSV file at `path`; all or nothing. Raises BadFile."""
    try:
        content = path.read_bytes() if path.stat().st_size <= MAX_BYTES else None
    except OSError as error:
        raise BadFile([Fault(f"{path}: {error.strerror}")]) from error
    if content is None:
        raise BadFile([Fault(f"{path}: larger than {MAX_BYTES // 1024 // 1024} MiB")])
    return tasks_in(content)


def tasks_in(content: bytes, *, max_rows: int = MAX_ROWS) -> list[Draft]:
    """The tasks in the bytes of a CSV file; all or nothing. Raises BadFile for a bad row too."""
    backlog = parse_backlog(content, max_rows=max_rows)
    if backlog.faults:
        raise BadFile(backlog.faults)
    return backlog.drafts


def parse_backlog(content: bytes, *, max_rows: int = MAX_ROWS) -> Backlog:
    """What is in the bytes of a CSV file, its bad rows by line and reason.

    UTF-8 with or without a BOM, LF or CRLF, quoted fields with newlines in them, separated by
    commas, semicolons or tabs; the columns `Summary` (needed), `Issue key` and `Description`,
    others ignored, names in any case. Raises BadFile for what cannot be read as such a file at all.
    """
    if not content:
        raise BadFile([Fault(said("The file is empty"))])
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise BadFile([Fault(said("Not UTF-8: save it as “CSV UTF-8”"), line)]) from error
    csv.field_size_limit(MAX_FIELD)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_separator(text), strict=True)
    try:
        return _backlog(reader, max_rows)
    except csv.Error as error:
        raise BadFile([Fault(_in_our_words(error), reader.line_num)]) from error


def _separator(text: str) -> str:
    """The first of SEPARATORS that makes a column Summary of the header; else a comma."""
    end = text.find("\n")
    header = text[: end if end >= 0 else len(text)][:MAX_FIELD]
    for separator in SEPARATORS:
        names = next(csv.reader([header.rstrip("\r")], delimiter=separator), [])
        if any(name.strip().casefold() == NAME for name in names):
            return separator
    return ","


def _in_our_words(error: csv.Error) -> str:
    return next((ours for theirs, ours in _BROKEN.items() if theirs in str(error)), _MISPLACED)


def _backlog(reader: Any, max_rows: int) -> Backlog:
    header: list[str] = next(reader, [])
    columns = _columns(header)
    wanted = {columns[name] for name in (NAME, KEY, DESCRIPTION) if name in columns}
    backlog = Backlog(
        used=[header[number].strip() for number in sorted(wanted)],
        ignored=[name.strip() for number, name in enumerate(header) if number not in wanted],
    )
    for line, row in _rows(reader):
        try:
            backlog.drafts.append(_draft(row, columns))
        except BadInput as error:
            backlog.faults += [
                Fault(what, line, header[columns[name]].strip())
                for name, what in error.fields.items()
            ]
        if len(backlog.drafts) > max_rows:
            raise BadFile([Fault(said("More than %(count)s tasks", count=max_rows), line)])
        if len(backlog.faults) >= REPORTED:
            return backlog
    if not backlog.drafts and not backlog.faults:
        raise BadFile([Fault(said("There are no tasks in it"))])
    return backlog


def _rows(reader: Any) -> Iterator[tuple[int, list[str]]]:
    """Each row that is not blank, with the line that it begins on: it may span several."""
    line = reader.line_num + 1
    for row in reader:
        if any(text.strip() for text in row):
            yield line, row
        line = reader.line_num + 1


def _columns(header: list[str]) -> dict[str, int]:
    """Where each column stands; Jira repeats names, of which the first counts."""
    columns: dict[str, int] = {}
    for number, name in enumerate(header):
        columns.setdefault(name.strip().casefold(), number)
    if NAME not in columns:
        raise BadFile([Fault(said("No column Summary: the file needs a header row"), 1)])
    return columns


def _draft(row: list[str], columns: dict[str, int]) -> Draft:
    def text_of(name: str) -> str:
        number = columns.get(name)
        return row[number].strip() if number is not None and number < len(row) else ""

    for column in (NAME, KEY, DESCRIPTION):
        if "\x00" in text_of(column):
            raise BadInput(fields={column: "Contains a character that cannot be stored"})
    key = text_of(KEY)
    if key and not is_ticket_key(key):
        raise BadInput(fields={KEY: said("Not of the form KEY-12: %(key)s", key=key[:40])})
    # Jira allows brackets in a summary; a task's name does not hold any.
    name = text_of(NAME).replace("[", "(").replace("]", ")")
    text = f"[{key}] {name}" if key else name
    try:
        split_name(text)
    except BadInput as error:
        raise BadInput(fields={NAME: error.fields["name"]}) from error
    return Draft(text, checked_description(text_of(DESCRIPTION)))
