"""Wherever a day's income stands, fees, rewards and corrections beside it add up to it."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

from app.kernel.db import db
from app.payments.message import Envelope, closing_message
from app.payments.queries import closing_of
from tests.reports.conftest import MONDAY, Week
from tests.reports.surfaces import cents, tiles

# The day on which the week's corrections were made.
CORRECTED = (MONDAY + timedelta(days=4)).date()
_CELL = re.compile(r"<td class=\"num\">(.*?)</td>", re.DOTALL)
_TAG = re.compile(r"<[^>]+>")


def test_the_closing_page_and_its_mail_agree(week: Week, sign_in: Any) -> None:
    html = sign_in(week.accountant).get(f"/payouts/{CORRECTED}").get_data(as_text=True)
    shown = tiles(html)
    income = shown["Company\N{RIGHT SINGLE QUOTATION MARK}s income"]
    (said,) = re.findall(r"corrections: ([^<]+)<", html)
    assert income == shown["Fees charged"] - shown["Rewards credited"] + cents(said)
    assert cents(said) != 0
    lines = mail_lines(week)
    mailed = {name: cents(lines[name]) for name in ("Fees charged", "Rewards credited")}
    assert mailed == {name: shown[name] for name in mailed}
    assert cents(lines["Company's income"]) == income
    assert cents(lines["Corrections"]) == cents(said)


def mail_lines(week: Week) -> dict[str, str]:
    """What the closing's mail says of the day, by name."""
    envelope = Envelope("<1@example>", MONDAY, "anna", "anna@example.org", None)
    message = week.company.call(
        lambda: closing_message(envelope, closing_of(db.session(), CORRECTED))
    )
    text = message.get_body(("plain",)).get_content()
    return dict(line.split(": ", 1) for line in text.splitlines() if line.count(": ") == 1)


def test_each_day_of_the_report_adds_up(week: Week, sign_in: Any) -> None:
    browser = sign_in(week.accountant)
    html = browser.get(f"/report?from={MONDAY.date()}&to={CORRECTED}").get_data(as_text=True)
    table = html.split('id="days-title"')[1].split("</table>")[0]
    assert "Corrections" in table
    rows = [figures(row) for row in table.split("<tr")[2:]]
    assert len(rows) == 6, "five days and their sum"
    for fees, rewards, corrections, income, *_ in rows:
        assert income == fees - rewards + corrections
    assert sum(row[2] != 0 for row in rows) == 2, "of the day, and of the sum"
    before = CORRECTED - timedelta(days=1)
    without = browser.get(f"/report?from={MONDAY.date()}&to={before}").get_data(as_text=True)
    assert "Corrections" not in without.split('id="days-title"')[1].split("</table>")[0]


def figures(row: str) -> list[int]:
    """The amounts of a row of the table."""
    cells = [_TAG.sub("", cell).strip() for cell in _CELL.findall(row)]
    return [cents(cell) for cell in cells if "$" in cell]
