"""docs/guardian.md says of each check what the check says of itself."""

from __future__ import annotations

from pathlib import Path

from app.guardian.checks import RULES

PAGE = Path(__file__).parents[2] / "docs" / "guardian.md"


def test_each_check_is_documented() -> None:
    _, _, documented = PAGE.read_text().partition("\n## Checks\n")
    sections = [section.split("\n", 1) for section in documented.split("\n### ")[1:]]
    assert [title for title, _ in sections] == [check.name for check in RULES]
    for (_, text), check in zip(sections, RULES, strict=True):
        assert check.means in text
        assert check.to_do in text
        assert text.startswith("Money.") is check.is_money
