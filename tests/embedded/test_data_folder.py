"""One bin/run holds a data folder, and tells commands how to reach what runs in it."""

import pytest

from embedded import data_folder
from embedded.errors import EmbeddedError

ENV = {"DATABASE_URL": "postgresql://a b'c", "SECRET_KEY": 'x"y', "HOME": "/root"}


def test_is_held_by_one(tmp_path):
    second = data_folder.held(tmp_path / "new" / "data")
    refused = pytest.raises(EmbeddedError, match=r"is in use by process \d+")
    with data_folder.held(tmp_path / "new" / "data"), refused, second:
        pass
    with data_folder.held(tmp_path / "new" / "data"):
        assert data_folder.is_held(tmp_path / "new" / "data")
    assert not data_folder.is_held(tmp_path / "new" / "data")


def test_publishes_what_commands_need_while_it_runs(tmp_path):
    assert data_folder.published(tmp_path) == {}
    with data_folder.held(tmp_path):
        data_folder.publish(tmp_path, ENV)
        assert (tmp_path / "run.env").stat().st_mode & 0o777 == 0o600
        assert data_folder.published(tmp_path) == {
            "DATABASE_URL": ENV["DATABASE_URL"],
            "SECRET_KEY": ENV["SECRET_KEY"],
        }
    assert data_folder.published(tmp_path) == {}


def test_what_a_killed_run_published_is_not_believed(tmp_path):
    data_folder.publish(tmp_path, ENV)
    (tmp_path / "run.lock").touch()
    assert data_folder.published(tmp_path) == {}


def test_a_file_in_its_place_is_told(tmp_path):
    (tmp_path / "data").write_text("no folder")
    broken = data_folder.held(tmp_path / "data")
    with pytest.raises(EmbeddedError, match="cannot be used: File exists"), broken:
        pass
