"""The lines of CSV that PostgreSQL puts together are those that `spreadsheet` would write."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from app.accounting import spreadsheet
from app.accounting.queries import (
    LedgerFilter,
    Period,
    Totals,
    export_transfers,
    lines,
    totals,
    transfer_lines,
)
from app.kernel.db import db, sql
from tests.reports.conftest import MONDAY, Week

NASTY = (
    "=1+1",
    "+1",
    "-1.00",
    "-1.0",
    "@x",
    "\tx",
    "\rx",
    'a "b", c',
    "a\r\nb",
    "'=1",
    "-12.345",
    "",
)


@pytest.mark.parametrize("chunk", [7, 5_000])
def test_each_line_is_the_row_s_and_the_sums_are_the_filter_s(
    week: Week, call: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(lines, "CHUNK", chunk)
    week.company.rows("UPDATE tasks SET name = :name WHERE id = 1 RETURNING id", name='=a "b", c')
    for filter_ in (
        LedgerFilter(period=Period(MONDAY.date(), MONDAY.date().replace(day=22))),
        LedgerFilter(period=Period(MONDAY.date(), MONDAY.date()), kind="assign_fee"),
        LedgerFilter(period=Period(MONDAY.date(), MONDAY.date().replace(day=20)), text="bird dev1"),
        LedgerFilter(
            period=Period(MONDAY.date().replace(year=2020), MONDAY.date().replace(year=2020))
        ),
    ):
        written, wanted, summed = call(_both, filter_)
        assert written == wanted
        assert summed == call(lambda f=filter_: totals(db.session(), f))


def _both(wanted: LedgerFilter) -> tuple[list[list[str]], list[list[str]], Totals]:
    session: Any = db.session()
    chunks = list(transfer_lines(session, wanted))
    text = "\r\n".join(chunk.text for chunk in chunks)
    rows = [
        [spreadsheet.csv_cell(cell) for cell in spreadsheet.cells(row)]
        for row in export_transfers(session, wanted)
    ]
    assert sum(chunk.count for chunk in chunks) == len(rows)
    sums = sum((chunk.sums for chunk in chunks), Totals())
    return list(csv.reader(io.StringIO(text))), rows, sums


def test_what_somebody_wrote_is_inert_by_the_same_rule(session: Session) -> None:
    statement = sql(f"SELECT {lines.TEXT.format(text='CAST(:text AS text)')}")

    @settings(max_examples=300)
    @given(
        st.text(st.characters(codec="utf-8", exclude_characters="\x00")) | st.sampled_from(NASTY)
    )
    def same(text: str) -> None:
        cell = session.execute(statement, {"text": text}).scalar_one()
        assert next(csv.reader(io.StringIO(cell, newline="")), [""]) == [spreadsheet.inert(text)]

    same()
    assert session.execute(statement, {"text": "=1"}).scalar_one() == '"\'=1"', "it is seen"
