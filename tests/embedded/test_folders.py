"""Folders: private for sockets, and opened to one more user by the least change."""

import os
import stat
import subprocess
from pathlib import Path

import pytest

from embedded import folders
from embedded.errors import EmbeddedError

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can run as another user")


def test_socket_folder_is_the_same_for_a_data_folder_and_short(tmp_path):
    data_dir = tmp_path / ("x" * 100)
    folder = folders.socket_folder("test", data_dir)
    assert folder == folders.socket_folder("test", data_dir)
    assert folder != folders.socket_folder("test", tmp_path)
    assert folder != folders.socket_folder("other", data_dir)
    assert len(str(folder)) <= folders.SOCKET_FOLDER_BYTES_MAX
    assert not folder.exists()


def test_private_folder_is_ours_alone_and_refused_if_it_is_not(tmp_path):
    folder = tmp_path / "private"
    folders.make_private(folder)
    folders.make_private(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    folder.chmod(0o755)
    with pytest.raises(EmbeddedError, match="not a private folder"):
        folders.make_private(folder)
    folder.rmdir()
    folder.symlink_to(tmp_path)
    with pytest.raises(EmbeddedError, match="not a private folder"):
        folders.make_private(folder)


@as_root
def test_lets_one_user_pass_and_changes_nothing_else(tmp_path):
    user = folders.server_user()
    assert user
    closed = tmp_path / "closed"
    inside = closed / "open" / "also closed"
    inside.mkdir(parents=True)
    closed.chmod(0o700)
    inside.chmod(0o700)
    (inside / "file").write_text("read me")
    changed = folders.let_pass(user, inside)
    assert {closed, inside} <= set(changed)
    assert closed / "open" not in changed
    assert folders.let_pass(user, inside) == []
    assert _as(user.pw_uid, "cat", inside / "file") == "read me"
    assert _as(user.pw_uid, "ls", inside) == ""
    assert _as(65534, "cat", inside / "file") == ""
    closed.chmod(0o700)
    assert folders.let_pass(user, inside) == [closed]
    assert _as(user.pw_uid, "cat", inside / "file") == "read me"


def _as(uid: int, program: str, path: Path) -> str:
    done = subprocess.run(
        [program, path], user=uid, group=uid, extra_groups=[], capture_output=True, check=False
    )
    return done.stdout.decode()
