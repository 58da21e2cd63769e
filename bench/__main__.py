"""`bin/bench [NAME …]`: measure, and print tables of ratios; exit code 1 if a target is missed.

Some need years of a company, which are made first (10 million transfers take an hour or two) and
kept in a folder for the next time; `--transfers` chooses how many.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bench import (
    board,
    closing,
    completion,
    everywhere,
    exporting,
    killed,
    latency,
    live,
    pages,
    peers,
    reassignment,
    relay,
    snapshot,
    watching,
)
from bench.report import Line, table
from bench.stage import Stage, stage
from bench.years import Years, years
from embedded.settings import ROOT

TRANSFERS = 10_000_000
FOLDER = ROOT / "bench" / "results" / "years"

BENCHES: dict[str, tuple[str, Callable[[Stage], list[Line]]]] = {
    "relay": ("The relay against bare inserts of the same transfers", relay.measure),
    "peers": ("The relay against one job per event", peers.measure),
    "latency": ("From commit to posted, one event at a time, idle system", latency.measure),
    "http": ("complete_task over HTTP, 8 clients", completion.measure),
    "reassign": ("Reassigning 100,000 open tasks", reassignment.measure),
    "tasks": ("The board's first page, one request after another", board.measure_list),
    "live": ("200 open pages that ask every 3 s for news", live.measure),
    "board": ("The board with 1,000,000 tasks", board.measure_growth),
    "closing": ("Closing a day against bare inserts of the same rows", closing.measure),
    "killed": ("Closing a day that is killed again and again", killed.measure),
    "snapshot": ("The relay while a snapshot is held", snapshot.measure),
}
# On a company that is young, on the same when it is old, and on a larger one.
ON_YEARS: dict[str, tuple[str, Callable[[Years], list[Line]]]] = {
    "pages": ("Pages at {transfers:,} transfers, beside 100,000", pages.measure),
    "everywhere": ("Every page of a hundred demos, p95", everywhere.measure),
    "exports": ("Exporting a million of {transfers:,} transfers", exporting.measure),
    "guardian": ("The guardian at {transfers:,} transfers", watching.measure),
}


def main() -> int:
    """Measure what is asked for, or everything, one benchmark after another."""
    parser = argparse.ArgumentParser(prog="bin/bench", description=__doc__)
    known = [*BENCHES, *ON_YEARS]
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(known))
    parser.add_argument("--transfers", type=int, default=TRANSFERS, help="how many years hold")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the years are kept")
    wanted = parser.parse_args()
    names = wanted.names or known
    unknown = [name for name in names if name not in known]
    if unknown:
        parser.error(f"no benchmark {unknown[0]!r}: choose from {', '.join(known)}")
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()}")
    missed = []
    if chosen := [name for name in names if name in BENCHES]:
        with stage() as servers:
            for name in chosen:
                title, measure = BENCHES[name]
                missed += show(name, title, measure(servers))
    if chosen := [name for name in names if name in ON_YEARS]:
        with years(wanted.folder, transfers=wanted.transfers) as company:
            for name in chosen:
                title, measured = ON_YEARS[name]
                title = title.format(transfers=company.old.transfers)
                missed += show(name, title, measured(company))
    return 1 if missed else 0


def show(name: str, title: str, lines: list[Line]) -> list[Line]:
    """Print a benchmark's table; returns the lines that missed their target."""
    print(f"\n{time.strftime('%H:%M:%S')} {name}\n{table(title, lines)}", flush=True)
    return [line for line in lines if not line.met]


if __name__ == "__main__":
    sys.exit(main())
