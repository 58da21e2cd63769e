"""What is installed is pinned, hashed, and names no place to fetch it from."""

import json
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = sorted(ROOT.glob("requirements*.txt"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
NODE = json.loads((ROOT / "package.json").read_text())
NODE_LOCK = json.loads((ROOT / "package-lock.json").read_text())
# A pinned name, an optional marker, and the hashes that follow it.
PINNED = re.compile(
    r"^([a-z0-9._-]+)(?:\[[a-z,]+\])?==[^ ]+(?: ; [^\n]+)? \\\n((?:    --hash=.+\n?)+)",
    re.MULTILINE,
)


def normal(requirement: str) -> str:
    name = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert name
    return re.sub(r"[-_.]+", "-", name.group()).lower()


def packages(lock: Path) -> set[str]:
    return {normal(name) for name, _ in PINNED.findall(lock.read_text())}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_every_line_of_a_lock_is_a_pin_with_hashes(lock):
    assert PINNED.sub("", lock.read_text()).strip() == ""
    assert packages(lock)


@pytest.mark.parametrize("lock", [*LOCKS, ROOT / "package-lock.json"], ids=lambda lock: lock.name)
def test_a_lock_names_no_address(lock):
    assert "://" not in lock.read_text()


def test_the_locks_hold_what_the_project_asks_for():
    runtime = packages(ROOT / "requirements.txt")
    assert {normal(name) for name in PROJECT["project"]["dependencies"]} <= runtime
    for group, asked in PROJECT["dependency-groups"].items():
        held = packages(ROOT / f"requirements-{group}.txt")
        assert {normal(name) for name in asked} <= held, group
        if group in ("dev", "bench"):
            assert runtime <= held, "installed over each other, they agree"


def test_front_end_packages_are_pinned_exactly_and_checked():
    assert NODE["devDependencies"] == {"htmx.org": "4.0.1"}
    locked = {name: entry for name, entry in NODE_LOCK["packages"].items() if name}
    assert set(locked) == {f"node_modules/{name}" for name in NODE["devDependencies"]}
    for entry in locked.values():
        assert entry["integrity"].startswith("sha512-")
        assert "resolved" not in entry
