"""Exporting a million transfers as a worker does it: how fast, and in how much memory.

A process of its own asks for the export and makes it, with the leases and the progress of the
real job. Its memory is the most that it ever held, the interpreter and the application included.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from app import create_app
from app.accounting import commands
from app.accounting.queries import LedgerFilter, Period
from app.auth.actors import actor_named
from app.kernel.db import db, sql
from bench.report import Line
from bench.stage import quiet
from bench.years import ACCOUNTANT, Years
from embedded.programs import python
from embedded.settings import ROOT

ROWS = 1_000_000
ROUNDS = {"csv": 2, "xlsx": 1}
CSV_ROWS_PER_S_MIN = 50_000
PEAK_MB_MAX = 200
TIMEOUT_S = 1_200

# The newest days that hold so many transfers together.
FIRST_OF_ROWS = sql("""
SELECT max(business_day) FROM (
  SELECT business_day, sum(transfers) OVER (ORDER BY business_day DESC) AS rows FROM ledger_days)
  AS days WHERE rows >= :rows
""")

ROWS_DONE = sql("SELECT rows_done FROM exports WHERE id = :id")


def measure(years: Years) -> list[Line]:
    """Rows a second and the peak of memory, of each format."""
    lines = []
    for kind, rounds in ROUNDS.items():
        runs = [_run(years, kind) for _ in range(rounds)]
        best = max(runs, key=lambda run: float(run["rows_per_s"]))
        peak_mb = max(run["peak_mb"] for run in runs)
        lines += [
            _speed(kind, best),
            Line(
                what=f"{kind.upper()}, most memory",
                figure=f"{peak_mb:.0f} MB",
                target=f"< {PEAK_MB_MAX} MB",
                met=peak_mb < PEAK_MB_MAX,
            ),
        ]
    return lines


def _speed(kind: str, run: dict[str, Any]) -> Line:
    figure = (
        f"{run['rows_per_s']:,.0f} rows/s, {run['rows_per_cpu_s']:,.0f} a CPU second"
        f" of the worker and PostgreSQL ({run['rows']:,} rows, {run['mb']:.0f} MB)"
    )
    if kind != "csv":
        return Line(what=kind.upper(), figure=figure)
    met = run["rows_per_s"] >= CSV_ROWS_PER_S_MIN
    return Line(what="CSV", figure=figure, target=f">= {CSV_ROWS_PER_S_MIN:,}/s", met=met)


def _run(years: Years, kind: str) -> dict[str, Any]:
    code = f"from bench.exporting import main; main({kind!r}, {str(years.old.today)!r})"
    done = subprocess.run(
        python("-c", code),
        env=years.stage.env(years.old.database),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    run: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return run


def main(kind: str, today: str) -> None:
    """Make one export here, and print what it took as JSON."""
    app = create_app(process="worker")
    quiet()
    last = date.fromisoformat(today) - timedelta(days=1)
    with app.app_context():
        session: Any = db.session()
        actor = actor_named(session, ACCOUNTANT)
        first = session.execute(FIRST_OF_ROWS, {"rows": ROWS}).scalar()
        (backend,) = session.execute(sql("SELECT pg_backend_pid()")).one()
        wanted = LedgerFilter(period=Period(first or date(2023, 11, 20), last))
        export_id = commands.request_export(actor, wanted, format=kind)
        before_s = _cpu_s(backend)
        began = time.perf_counter()
        assert commands.make_exports() == 1
        took_s = time.perf_counter() - began
        cpu_s = _cpu_s(backend) - before_s
        path = commands.export_file(export_id, kind)
        rows = session.execute(
            sql("SELECT rows_done FROM exports WHERE id = :id"), {"id": export_id}
        )
        _tell(path, rows.scalar_one(), took_s=took_s, cpu_s=cpu_s)


def _tell(path: Path, rows: int, *, took_s: float, cpu_s: float) -> None:
    said = {
        "rows": rows,
        "mb": path.stat().st_size / 1e6,
        "rows_per_s": rows / took_s,
        "rows_per_cpu_s": rows / cpu_s,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    path.unlink()
    sys.stdout.write(json.dumps(said) + "\n")


def _cpu_s(backend: int) -> float:
    """CPU seconds of this process and of its server process so far; not of one that has ended."""
    try:
        fields = Path(f"/proc/{backend}/stat").read_text().rsplit(")", 1)[1].split()
    except FileNotFoundError:
        return time.process_time()
    ticks = int(fields[11]) + int(fields[12])
    return time.process_time() + ticks / 100
