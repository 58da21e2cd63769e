"""What each program is told: what answers requests never knows the owner of the tables."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from embedded.programs import programs
from embedded.settings import ROOT

OWNER = "MIGRATION_DATABASE_URL"


@pytest.mark.parametrize(
    ("archive", "told"), [({}, []), ({"OUTBOX_ARCHIVE_DIR": "/srv/archive"}, ["worker"])]
)
def test_only_a_worker_that_archives_knows_the_owner(
    tmp_path: Path, archive: dict[str, str], told: list[str]
) -> None:
    env = {"DATABASE_URL": "postgresql://app@/ates", OWNER: "postgresql://owner@/ates", **archive}
    started = programs(8000, logs=tmp_path, env=env)
    assert [program.name for program in started if OWNER in program.env] == told


def test_run_takes_no_words_and_says_so() -> None:
    def said(word: str) -> subprocess.CompletedProcess[str]:
        run = [sys.executable, "-m", "embedded.run", word]
        return subprocess.run(
            run, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
        )

    told, helped = said("now"), said("--help")
    assert told.returncode == 2
    assert "unrecognized arguments: now" in told.stderr
    assert helped.returncode == 0
    assert "environment variables" in helped.stdout
