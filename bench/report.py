"""What a benchmark found: lines of a table, each a figure and its ratio to another."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One measured thing. `ratio` is to what `against` names; `target` says what it must be."""

    what: str
    figure: str
    ratio: float | None = None
    against: str = ""
    target: str = ""
    met: bool = True


def at_least(limit: float, what: str, figure: str, *, ratio: float, against: str) -> Line:
    """A line whose ratio must not be below `limit`."""
    return Line(
        what=what,
        figure=figure,
        ratio=ratio,
        against=against,
        target=f">= {limit:g}",
        met=ratio >= limit,
    )


def at_most(limit: float, what: str, figure: str, *, ratio: float, against: str) -> Line:
    """A line whose ratio must not be above `limit`."""
    return Line(
        what=what,
        figure=figure,
        ratio=ratio,
        against=against,
        target=f"<= {limit:g}",
        met=ratio <= limit,
    )


def table(title: str, lines: list[Line]) -> str:
    """The lines as a table in Markdown."""
    rows = [("", title, "ratio", "to", "target", "")]
    for line in lines:
        ratio = "" if line.ratio is None else f"{line.ratio:.2f}"
        met = "" if not line.target else "met" if line.met else "MISSED"
        rows.append((line.what, line.figure, ratio, line.against, line.target, met))
    widths = [max(len(row[column]) for row in rows) for column in range(6)]
    text = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    rule = "| " + " | ".join("-" * max(3, width) for width in widths) + " |"
    return "\n".join([text[0], rule, *text[1:]])
