"""Secrets that are drawn once and kept in the data folder, readable by its owner alone."""

import os
import secrets
from pathlib import Path

KEY_BYTES = 32


def key(data_dir: Path, name: str) -> str:
    """The secret of this name, 43 URL-safe characters, drawn when it is asked for first.

    Two processes that ask at once get the same one.
    """
    folder = data_dir / "secrets"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / name
    if not path.exists():
        _draw(path)
    return path.read_text(encoding="ascii").strip()


def _draw(path: Path) -> None:
    # Written aside and then linked: the name appears with the whole secret in it, or not at all.
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.unlink(missing_ok=True)
    handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(secrets.token_urlsafe(KEY_BYTES) + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(aside, path)
    except FileExistsError:
        pass
    finally:
        aside.unlink()
