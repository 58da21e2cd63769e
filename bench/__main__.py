"""`bin/bench [NAME …]`: measure, and print tables of ratios; exit code 1 if a target is missed."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time

from bench import board, completion, latency, live, peers, reassignment, relay
from bench.report import Line, table
from bench.stage import stage

BENCHES = {
    "relay": ("The relay against bare inserts of the same transfers", relay.measure),
    "peers": ("The relay against one job per event", peers.measure),
    "latency": ("From commit to posted, one event at a time, idle system", latency.measure),
    "http": ("complete_task over HTTP, 8 clients", completion.measure),
    "reassign": ("Reassigning 100,000 open tasks", reassignment.measure),
    "tasks": ("The board's first page, one request after another", board.measure_list),
    "live": ("200 open pages that ask every 3 s for news", live.measure),
    "board": ("The board with 1,000,000 tasks", board.measure_growth),
}


def main() -> int:
    """Measure what is asked for, or everything, one benchmark after another."""
    parser = argparse.ArgumentParser(prog="bin/bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHES))
    names = parser.parse_args().names or list(BENCHES)
    unknown = [name for name in names if name not in BENCHES]
    if unknown:
        parser.error(f"no benchmark {unknown[0]!r}: choose from {', '.join(BENCHES)}")
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()}")
    with stage() as servers:
        results = {name: BENCHES[name][1] for name in names}
        missed = [line for name in names for line in show(name, results[name](servers))]
    return 1 if missed else 0


def show(name: str, lines: list[Line]) -> list[Line]:
    """Print a benchmark's table; returns the lines that missed their target."""
    print(f"\n{time.strftime('%H:%M:%S')} {name}\n{table(BENCHES[name][0], lines)}", flush=True)
    return [line for line in lines if not line.met]


if __name__ == "__main__":
    sys.exit(main())
