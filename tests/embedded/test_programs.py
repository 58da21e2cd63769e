"""What each program is told: what answers requests never knows the owner of the tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from embedded.programs import programs

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
