"""What the report shows, read back from its page, its files and the REST API."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections import Counter
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode
from xml.etree import ElementTree as ET

MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_TILE = re.compile(r"<dt>(?P<name>[^<]+)</dt><dd>(?P<figure>.*?)</dd>", re.DOTALL)
_TAG = re.compile(r"<[^>]+>")


def cents(text: str) -> int:
    """An amount as pages and files write it, in minor units."""
    plain = text.replace("\N{MINUS SIGN}", "-").replace("$", "").replace(",", "").replace("+", "")
    return int(Decimal(plain.strip()) * 100)


def tiles(html: str) -> dict[str, int]:
    """The amounts in the tiles of a page."""
    found = {m["name"]: _TAG.sub("", m["figure"]).strip() for m in _TILE.finditer(html)}
    return {name: cents(figure) for name, figure in found.items() if "$" in figure}


def report_url(wanted: dict[str, Any]) -> str:
    """The report with its sums: where each transfer is looked at, they are asked for."""
    path = "/report/sums" if wanted.keys() & {"kind", "q"} else "/report"
    return f"{path}?{urlencode(wanted)}"


def page_sums(browser: Any, wanted: dict[str, Any]) -> dict[str, int]:
    """Fees, rewards, income and payouts of the report's tiles."""
    answer = browser.get(report_url(wanted))
    assert answer.status_code == 200, answer.get_data(as_text=True)[:500]
    shown = tiles(answer.get_data(as_text=True))
    return {
        "fees": shown["Fees charged"],
        "rewards": shown["Rewards credited"],
        "income": shown["Company\N{RIGHT SINGLE QUOTATION MARK}s income"],
        "payouts": shown["Paid out"],
    }


def chart_sum(browser: Any, wanted: dict[str, Any]) -> int:
    """The sum of the chart's bars, from the table beside it."""
    html = browser.get(report_url(wanted)).get_data(as_text=True)
    chart = html.split("chart-figure")[1].split("</figure>")[0]
    return sum(
        cents(_TAG.sub("", cell)) for cell in re.findall(r'<td class="num">(.*?)</td>', chart)
    )


def csv_rows(content: bytes) -> tuple[list[dict[str, str]], dict[str, str]]:
    """The rows of a CSV file, and what it says of itself below them."""
    lines = list(csv.reader(io.StringIO(content.decode("utf-8-sig"))))
    end = lines.index([])
    rows = [dict(zip(lines[0], line, strict=True)) for line in lines[1:end]]
    return rows, {line[0]: line[1] for line in lines[end + 1 :]}


def xlsx_rows(content: bytes) -> tuple[list[dict[str, str]], dict[str, str]]:
    """The same of an XLSX file."""
    with zipfile.ZipFile(io.BytesIO(content)) as book:
        strings = []
        if "xl/sharedStrings.xml" in book.namelist():
            table = ET.fromstring(book.read("xl/sharedStrings.xml"))
            strings = ["".join(node.itertext()) for node in table]
        names = sorted(name for name in book.namelist() if name.startswith("xl/worksheets/sheet"))
        sheets = [_sheet(book.read(name), strings) for name in names]
    *pages, about = sheets
    head = pages[0][0]
    rows = [
        {head[column]: value for column, value in line.items()}
        for page in pages
        for line in page[1:]
    ]
    return rows, {line["A"]: line["B"] for line in about}


def _sheet(content: bytes, strings: list[str]) -> list[dict[str, str]]:
    lines = []
    for row in ET.fromstring(content).iter(f"{MAIN}row"):
        line = {}
        for cell in row.iter(f"{MAIN}c"):
            assert cell.find(f"{MAIN}f") is None, "a live formula"
            column = re.sub(r"[0-9]", "", cell.attrib["r"])
            kind = cell.attrib.get("t")
            value = cell.find(f"{MAIN}v")
            if kind == "inlineStr":
                line[column] = "".join(cell.itertext())
            elif value is not None:
                text = value.text or ""
                line[column] = strings[int(text)] if kind == "s" else text
        lines.append(line)
    return lines


def sums_of_rows(rows: list[dict[str, str]], reversed_kinds: dict[int, str]) -> dict[str, int]:
    """Fees, rewards, income and payouts of a file's rows; of each reversal its id and kind."""
    sums: Counter[str] = Counter()
    for row in rows:
        change = round(Decimal(row["change"]) * 100)
        kind = row["kind"]
        if kind == "reversal":
            kind = "" if reversed_kinds[int(row["id"])] == "payout" else "correction"
        sums[kind] += change
    fees, rewards = -sums["assign_fee"], sums["completion_reward"]
    return {
        "fees": fees,
        "rewards": rewards,
        "income": fees - rewards - sums["correction"],
        "payouts": -sums["payout"],
    }
