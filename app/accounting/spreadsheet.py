"""Files for spreadsheets: CSV and XLSX of any length in constant memory, without live formulas."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any, TextIO
from uuid import UUID

import xlsxwriter

from app.accounting.queries import Lines, TransferRow
from app.kernel.errors import BadInput
from app.kernel.money import MINOR_PER_MAJOR, decimal_string, parse_decimal_string

FORMULA = ("=", "+", "-", "@", "\t", "\r")
# Excel takes 1,048,576 rows to a sheet.
SHEET_ROWS = 1_000_000
COLUMNS = (
    "id",
    "time",
    "posted",
    "business_day",
    "late",
    "employee",
    "kind",
    "ticket",
    "task",
    "description",
    "change",
    "balance_after",
    "event_id",
)

Cell = str | int | date | datetime | UUID | None
Progress = Callable[[int], None]
# What the file says of itself, asked for when its rows are written.
About = Callable[[], Mapping[str, str]]
PROGRESS_EVERY = 5_000


class Money(int):
    """A cell with an amount, in minor units."""


def cells(row: TransferRow) -> tuple[Cell, ...]:
    """A transfer as a row of a file, in the order of COLUMNS."""
    return (
        row.id,
        row.timestamp,
        row.recorded_at,
        row.business_day,
        "late" if row.late else None,
        row.login,
        row.kind,
        row.ticket_key,
        row.task_name,
        row.description,
        Money(row.delta_balance),
        Money(row.balance_after),
        row.event_id,
    )


def write_csv(
    path: Path,
    columns: Sequence[str],
    rows: Iterable[Sequence[Cell]],
    *,
    about: About,
    progress: Progress | None = None,
) -> int:
    """Write a CSV file: UTF-8 with a BOM, CRLF; `about` follows the rows. Returns the rows."""
    count = 0
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        for count, row in enumerate(rows, start=1):
            writer.writerow([csv_cell(cell) for cell in row])
            if progress is not None and count % PROGRESS_EVERY == 0:
                progress(count)
        _write_about(file, about)
    return count


def write_lines(
    path: Path,
    columns: Sequence[str],
    chunks: Iterable[Lines],
    *,
    about: About,
    progress: Progress | None = None,
) -> int:
    """Write the same file from lines that are put together already. Returns the rows."""
    count = 0
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file).writerow(columns)
        for lines in chunks:
            file.write(lines.text)
            file.write("\r\n")
            count += lines.count
            if progress is not None:
                progress(count)
        _write_about(file, about)
    return count


def _write_about(file: TextIO, about: About) -> None:
    writer = csv.writer(file)
    writer.writerow([])
    writer.writerows([inert(name), inert(value)] for name, value in about().items())


def write_xlsx(
    path: Path,
    columns: Sequence[str],
    rows: Iterable[Sequence[Cell]],
    *,
    about: About,
    progress: Progress | None = None,
) -> int:
    """Write an XLSX file: the rows in sheets of a million, and `about` on the last sheet."""
    options = {
        "constant_memory": True,
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
        "remove_timezone": True,
    }
    with xlsxwriter.Workbook(path, options) as book:
        sheets = _Sheets(book, columns)
        count = 0
        for count, row in enumerate(rows, start=1):
            sheets.write(count, row)
            if progress is not None and count % PROGRESS_EVERY == 0:
                progress(count)
        page = book.add_worksheet("About")
        page.set_column(0, 0, 20)
        page.set_column(1, 1, 60)
        for line, (name, value) in enumerate(about().items()):
            page.write_string(line, 0, name)
            page.write_string(line, 1, value)
    return count


class _Sheets:
    """The rows of a workbook, over as many sheets as they need."""

    def __init__(self, book: Any, columns: Sequence[str]) -> None:
        self._book, self._columns = book, columns
        self._money = book.add_format({"num_format": "#,##0.00"})
        self._day = book.add_format({"num_format": "yyyy-mm-dd"})
        self._time = book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
        self._head = book.add_format({"bold": True})
        self._sheet = self._add(1)

    def _add(self, number: int) -> Any:
        sheet = self._book.add_worksheet(f"Rows {number}" if number > 1 else "Rows")
        sheet.freeze_panes(1, 0)
        sheet.set_column(0, len(self._columns) - 1, 18)
        sheet.write_row(0, 0, self._columns, self._head)
        return sheet

    def write(self, count: int, row: Sequence[Cell]) -> None:
        sheet_number, line = divmod(count - 1, SHEET_ROWS)
        if line == 0 and sheet_number:
            self._sheet = self._add(sheet_number + 1)
        for column, cell in enumerate(row):
            self._write_cell(line + 1, column, cell)

    def _write_cell(self, line: int, column: int, cell: Cell) -> None:
        sheet = self._sheet
        if cell is None:
            return
        if isinstance(cell, Money):
            sheet.write_number(line, column, cell / MINOR_PER_MAJOR, self._money)
        elif isinstance(cell, int):
            sheet.write_number(line, column, cell)
        elif isinstance(cell, datetime):
            sheet.write_datetime(line, column, cell, self._time)
        elif isinstance(cell, date):
            sheet.write_datetime(line, column, cell, self._day)
        else:
            sheet.write_string(line, column, str(cell))


def csv_cell(cell: Cell) -> str:
    """The cell as CSV holds it: amounts as decimal strings, times with their offset."""
    return _AS_TEXT[type(cell)](cell)


def inert(text: str) -> str:
    """The text so that no spreadsheet runs it as a formula; amounts stay as they are."""
    if not text.startswith(FORMULA) or _is_amount(text):
        return text
    return "'" + text


def _is_amount(text: str) -> bool:
    try:
        parse_decimal_string(text)
    except BadInput:
        return False
    return True


# By type, since a file has a million rows of a dozen cells.
_AS_TEXT: Mapping[type, Callable[[Any], str]] = {
    type(None): lambda _: "",
    Money: decimal_string,
    int: str,
    str: inert,
    datetime: datetime.isoformat,
    date: date.isoformat,
    UUID: str,
}
WRITERS: Mapping[str, Callable[..., int]] = {"csv": write_csv, "xlsx": write_xlsx}
