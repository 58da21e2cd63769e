"""bin/faults: every row played for its share of the time, by seed, and the table of what came."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import statistics
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import TextIO

from tests.faults.storm import Stage
from tests.faults.table import BY_NUMBER, FAULTS, Fault
from tests.faults.verdict import Outcome

COLUMNS = "{:>3} {:<28} {:>5} {:>8} {:>8} {:>7} {:>5} {:>7} {:>13}  {}"
HEAD = ("#", "fault", "runs", "attempts", "acknowl.", "unknown", "lost", "doubled", "recovered s")
SHOWN = 5
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> int:
    """Play what is asked for. Exit code 1 unless all rows that ran are right."""
    wanted = _arguments()
    for number in STOPS:
        signal.signal(number, _stop)
    try:
        return _play(wanted)
    except KeyboardInterrupt:
        sys.stdout.write("Stopped; what was started has ended.\n")
        return 130


def _stop(_signal: int, _frame: FrameType | None) -> None:
    """End what was started, in order; a second signal does not disturb that."""
    for number in STOPS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _play(wanted: argparse.Namespace) -> int:
    seeds = [wanted.seed] if wanted.seed is not None else range(1, wanted.seeds + 1)
    faults = [BY_NUMBER[number] for number in wanted.only] if wanted.only else list(FAULTS)
    seconds = 60 * wanted.minutes / len(faults) / len(seeds)
    with tempfile.TemporaryDirectory(prefix="ates-faults-") as folder, _quiet(folder) as terminal:
        print(f"{len(faults)} rows, seeds {list(seeds)}, {seconds:.0f} s each", file=terminal)
        print(COLUMNS.format(*HEAD, "kills, control"), file=terminal)
        right = []
        stages = list(dict.fromkeys(fault.on for fault in faults))
        for number, on in enumerate(stages):
            chosen = [fault for fault in faults if fault.on is on]
            possible = [fault for fault in chosen if not _said_why_not(fault, terminal)]
            if not possible:
                continue
            with on(Path(folder) / f"data-{number}") as running:
                stage = Stage(running, seconds, wanted.rounds)
                for fault in possible:
                    played = _row(fault, stage, list(seeds), terminal, controls=wanted.controls)
                    right.append(played)
    return 0 if all(right) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bin/faults", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1, help="play each row by this many seeds")
    parser.add_argument("--seed", type=int, help="play by this one seed, again")
    parser.add_argument("--minutes", type=float, default=10, help="for all rows and seeds together")
    parser.add_argument("--rounds", type=int, default=2, help="at least so many strikes in a row")
    parser.add_argument("--no-controls", dest="controls", action="store_false")
    parser.add_argument("--only", type=_numbers, help="the rows, such as 1,3 or 14-18")
    return parser.parse_args()


def _numbers(words: str) -> list[int]:
    chosen = []
    for word in words.split(","):
        first, _, last = word.partition("-")
        chosen += [n for n in range(int(first), int(last or first) + 1) if n in BY_NUMBER]
    return chosen


def _said_why_not(fault: Fault, terminal: TextIO) -> bool:
    """Whether this machine cannot play a row, which is said and never counts as right."""
    reason = fault.impossible()
    if reason:
        print(f"{fault.number:>3} {fault.name:<28} not run: {reason}", file=terminal)
    return reason is not None


def _row(fault: Fault, stage: Stage, seeds: list[int], terminal: TextIO, *, controls: bool) -> bool:
    """Play a row and print its line; whether it is right."""
    total, wrong = Outcome(), []
    for seed in seeds:
        outcome = fault.run(stage, seed)
        wrong += [f"seed {seed}: {what}" for what in outcome.wrong]
        total.add(outcome)
    short = Stage(stage.system, min(stage.seconds, 3.0), 1, is_short=True)
    control = fault.control(short, seeds[0]) if controls else None
    print(_line(fault, len(seeds), total, control), file=terminal)
    for what, times in total.figures.items():
        print(f"      {what}: {_spread(times)} s, {len(times)} times", file=terminal)
    for what in wrong[:SHOWN]:
        print(f"      {what[:300]}", file=terminal)
    if control and control.is_noticed:  # its harm should be the sabotage's, and not the rig's
        print(f"      control: {control.harm()[:300]}", file=terminal)
    return not total.is_harmed and (control is None or control.is_noticed)


def _line(fault: Fault, runs: int, total: Outcome, control: Outcome | None) -> str:
    took = _spread(total.recover_s) if total.recover_s else "-"
    counts = (total.attempts, total.acknowledged, total.unknown, total.lost, total.doubled)
    kills = f"{total.kills} kills, " if total.kills else ""
    failed = "not run"
    if control:
        failed = f"failed ({fault.sabotage})" if control.is_noticed else "DID NOT FAIL"
    return COLUMNS.format(fault.number, fault.name, runs, *counts, took, f"{kills}{failed}")


def _spread(times: list[float]) -> str:
    """The median and the longest."""
    return f"{statistics.median_high(times):.2f}/{max(times):.2f}"


@contextlib.contextmanager
def _quiet(folder: str) -> Iterator[TextIO]:
    """The terminal, while all that programs and libraries say goes to a log."""
    sys.stdout.flush()
    began = time.strftime("%H:%M:%S")
    with (
        os.fdopen(os.dup(1), "w", buffering=1) as terminal,
        (Path(folder) / "said.log").open("w") as log,
    ):
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        try:
            yield terminal
        except KeyboardInterrupt:
            print("Stopping", file=terminal)
            raise
        except BaseException:
            traceback.print_exc(file=terminal)
            raise
        finally:
            os.dup2(terminal.fileno(), 1)
            os.dup2(terminal.fileno(), 2)
        print(f"{began} to {time.strftime('%H:%M:%S')}", file=terminal)


if __name__ == "__main__":
    sys.exit(main())
