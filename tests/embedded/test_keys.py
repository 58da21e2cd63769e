"""Secrets are drawn once, and nobody else can read them."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from embedded.keys import key


def test_is_drawn_once_and_differs_by_name(tmp_path):
    first = key(tmp_path, "one")
    assert len(first) >= 43
    assert key(tmp_path, "one") == first
    assert key(tmp_path, "two") != first


def test_only_the_owner_can_read_it(tmp_path):
    key(tmp_path, "one")
    assert (tmp_path / "secrets").stat().st_mode & 0o077 == 0
    assert (tmp_path / "secrets" / "one").stat().st_mode & 0o777 == 0o600


def test_processes_that_ask_at_once_get_the_same(tmp_path):
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        found = set(pool.map(_ask, [tmp_path] * 16))
    assert len(found) == 1


def _ask(data_dir: Path) -> str:
    return key(data_dir, "one")
