"""The rules on imports forbid what they say: each is broken here in a copy of the code."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for name in ("app", "embedded"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copyfile(ROOT / "pyproject.toml", tmp_path / "pyproject.toml")
    return tmp_path


def lint(copy: Path) -> subprocess.CompletedProcess[str]:
    lint = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    return subprocess.run(
        [sys.executable, "-c", lint, "--no-cache"],
        cwd=copy,
        env={"PYTHONPATH": str(copy)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_code_keeps_the_rules(copy):
    done = lint(copy)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("module", "line", "rule"),
    [
        ("app/accounting/consumer.py", "import app.tasks.models", "Contexts do not know each"),
        ("app/kernel/money.py", "import app.tasks.models", "Contexts do not know each"),
        ("app/tasks/models.py", "import app.tasks.commands", "Inside a context"),
        ("app/tasks/commands/assigning.py", "import flask", "Nothing below the edges knows Flask"),
        ("embedded/keys.py", "import app.kernel.money", "The embedded servers and the app"),
        ("app/unknown.py", "import app.kernel.money", "Contexts do not know each"),
    ],
)
def test_a_rule_that_is_broken_is_named(copy, module, line, rule):
    with (copy / module).open("a") as file:
        file.write(f"\n{line}\n")
    done = lint(copy)
    assert done.returncode == 1
    assert [said for said in done.stdout.splitlines() if rule in said and "BROKEN" in said]
