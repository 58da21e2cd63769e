"""Starts a program of aTES, changed as the rig asks for in `<data folder>/variant.json`.

Without that file it starts the program as it is. `env` is set first, `changes` are names of
tests/faults/variants.py, made before the program's first line.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
from pathlib import Path


def main() -> None:
    """Become the program that the words name: `-m MODULE …` or a file."""
    variant = _variant()
    missing = {name: value for name, value in variant["env"].items() if value != _now(name)}
    if missing:  # some, such as LD_PRELOAD, are heard at the start of a process only
        os.execve(sys.executable, [sys.executable, "-P", *sys.argv], {**os.environ, **missing})
    if variant["changes"]:
        from tests.faults.variants import CHANGES

        for name in variant["changes"]:
            CHANGES[name]()
    words = sys.argv[1:]
    if words[0] == "-m":
        sys.argv = words[1:]
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = words
        runpy.run_path(words[0], run_name="__main__")


def _now(name: str) -> str | None:
    return os.environ.get(name)


def _variant() -> dict[str, dict[str, str]]:
    path = Path(os.environ["ATES_DATA"]) / "variant.json"
    try:
        return {"env": {}, "changes": {}, **json.loads(path.read_text())}
    except FileNotFoundError:
        return {"env": {}, "changes": {}}


if __name__ == "__main__":
    main()
