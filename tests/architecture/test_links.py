"""Every relative link of the README and the docs leads somewhere, and promises link to tests."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"\]\(([^)\s]+)\)")
PATH = re.compile(r"`((?:app|bin|docs|embedded|tests)/[\w./-]+)`")
HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """What a heading of a page may be linked by."""
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in HEADING.findall(page.read_text())
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_each_relative_link_and_path_is_there(page: Path) -> None:
    text = page.read_text()
    for link in LINK.findall(text):
        path, _, anchor = link.partition("#")
        if "://" in link:
            continue
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link
    for path in PATH.findall(text):
        assert (ROOT / path).exists(), path


def test_each_promise_links_to_a_test() -> None:
    _, _, proof = (ROOT / "README.md").read_text().partition("\n## The proof\n")
    rows = [row for row in proof.partition("\n## ")[0].splitlines() if row.startswith("| ")]
    assert len(rows) > 10
    for row in rows[2:]:
        links = [link for link in LINK.findall(row) if link.startswith("tests/")]
        assert links, row
        for link in links:
            assert "def test_" in (ROOT / link).read_text(), link
