"""Folders that a server needs: private, short enough for a socket, open to one more user."""

import errno
import hashlib
import os
import pwd
import shutil
import stat
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from embedded.errors import EmbeddedError

# A socket's path may be 107 bytes on Linux and 103 on macOS, with the file's name in it.
SOCKET_FOLDER_BYTES_MAX = 80
SERVER_USER = "ates-postgres"

ACL_XATTR = "system.posix_acl_access"
ACL_VERSION = 2
ACL_USER_OBJ, ACL_USER, ACL_GROUP_OBJ = 0x01, 0x02, 0x04
ACL_GROUP, ACL_MASK, ACL_OTHER = 0x08, 0x10, 0x20
ACL_NO_ID = 0xFFFFFFFF
SEARCH = 0o1


def socket_folder(server: str, data_dir: Path) -> Path:
    """Where the socket of this data folder's server lies: always the same place.

    It is in the folder for temporary files, since a socket's path must be short.
    """
    known_by = hashlib.sha256(f"{os.geteuid()}:{data_dir.resolve()}".encode()).hexdigest()[:12]
    parent = Path(tempfile.gettempdir())
    if len(os.fsencode(parent)) > SOCKET_FOLDER_BYTES_MAX - 32:
        parent = Path("/tmp")  # noqa: S108 -- make_private() checks the folder's owner and mode
    return parent / f"ates-{server}-{known_by}"


def make_private(folder: Path, owner: pwd.struct_passwd | None = None) -> None:
    """Make a folder for `owner`, or us, alone. Raises EmbeddedError if somebody else has."""
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    ours = {os.geteuid()} | ({owner.pw_uid} if owner else set())
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in ours or found.st_mode & 0o077:
        raise EmbeddedError(f"{folder} is not a private folder of this user: remove it.")
    if owner and found.st_uid != owner.pw_uid:
        shutil.chown(folder, owner.pw_uid, owner.pw_gid)


def server_user() -> pwd.struct_passwd | None:
    """The user that PostgreSQL runs as when we are root, which it refuses; else None.

    The user is made when it is asked for first. Raises EmbeddedError if it cannot be.
    """
    if os.geteuid() != 0:
        return None
    for _ in range(10):  # another useradd may hold the lock on the users' file
        try:
            return pwd.getpwnam(SERVER_USER)
        except KeyError:
            failure = _add_user()
            time.sleep(0.2)
    raise EmbeddedError(
        "PostgreSQL refuses to run as root and a user for it could not be made"
        f" ({failure}): start as an ordinary user.",
    )


def _add_user() -> str:
    options = ["--system", "--no-create-home", "--home-dir", "/nonexistent"]
    try:
        done = subprocess.run(
            ["useradd", *options, "--shell", "/usr/sbin/nologin", SERVER_USER],
            check=False,
            capture_output=True,
            text=True,
        )
    except OSError as error:
        return str(error)
    return done.stderr.strip()


def let_pass(user: pwd.struct_passwd, folder: Path) -> list[Path]:
    """Let `user` pass through each folder on the way to `folder`, and into it.

    Only folders that are closed to it are changed, by an entry for this one user that allows
    passing and not listing; where the file system has no such entries, by the mode. Returns the
    folders that were changed.
    """
    changed = []
    for place in [*reversed(folder.resolve().parents), folder.resolve()]:
        if not _may_pass(user, place):
            _open_to(user, place)
            changed.append(place)
    return changed


def _may_pass(user: pwd.struct_passwd, folder: Path) -> bool:
    entries = _acl(folder)
    # A chmod of the folder sets the mask of its entries.
    mask = next((allowed for tag, allowed, _ in entries if tag == ACL_MASK), 0o7)
    for tag, allowed, entry_id in entries:
        if tag == ACL_USER and entry_id == user.pw_uid:
            return bool(allowed & mask & SEARCH)
    found = folder.stat()
    if found.st_uid == user.pw_uid:
        return bool(found.st_mode & stat.S_IXUSR)
    if found.st_gid == user.pw_gid:
        return bool(found.st_mode & stat.S_IXGRP)
    return bool(found.st_mode & stat.S_IXOTH)


def _open_to(user: pwd.struct_passwd, folder: Path) -> None:
    others = [entry for entry in _acl(folder) if entry[0] != ACL_MASK]
    others = [entry for entry in others if entry[::2] != (ACL_USER, user.pw_uid)]
    others.append((ACL_USER, SEARCH, user.pw_uid))
    mask = 0
    for tag, allowed, _ in others:
        mask |= allowed if tag in (ACL_USER, ACL_GROUP_OBJ, ACL_GROUP) else 0
    entries = sorted([*others, (ACL_MASK, mask, ACL_NO_ID)], key=lambda entry: entry[::2])
    packed = struct.pack("<I", ACL_VERSION)
    packed += b"".join(struct.pack("<HHI", *entry) for entry in entries)
    try:
        if sys.platform != "linux":
            raise OSError(errno.EOPNOTSUPP, "no entries for single users")  # noqa: TRY301
        os.setxattr(folder, ACL_XATTR, packed)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.ENOSYS):
            raise
        folder.chmod(stat.S_IMODE(folder.stat().st_mode) | stat.S_IXOTH)


def _acl(folder: Path) -> list[tuple[int, int, int]]:
    """A folder's entries as (tag, rwx bits, id); those that its mode stands for if it has none."""
    mode = folder.stat().st_mode
    plain = [
        (ACL_USER_OBJ, mode >> 6 & 0o7, ACL_NO_ID),
        (ACL_GROUP_OBJ, mode >> 3 & 0o7, ACL_NO_ID),
        (ACL_OTHER, mode & 0o7, ACL_NO_ID),
    ]
    if sys.platform != "linux":
        return plain
    try:
        packed = os.getxattr(folder, ACL_XATTR)
    except OSError:
        return plain
    return [
        (tag, allowed, entry_id)
        for tag, allowed, entry_id in struct.iter_unpack("<HHI", packed[4:])
    ]
