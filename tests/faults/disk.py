"""A disk of its own for PostgreSQL's data: one that can be filled, and lose its power.

It is an ext4 in a file, mounted by a loop device; where a machine has none, a part of memory of a
fixed size, which can be filled but has no power to lose. Both take root.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import os
import shutil
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from embedded.postgres import Cluster

# Sparse: it takes what is written, at most.
EXT4_BYTES = 3 << 30
TMPFS_BYTES = 1 << 30
# _IOR('X', 125, __u32), and its argument for "without flushing the journal".
EXT4_IOC_SHUTDOWN = 0x8004587D
NO_LOG_FLUSH = 2
BUSY_S = 20.0
BALLAST = "ballast"


class Disk:
    """The file system at `place`; an ext4 lies in the file `image`, None is memory."""

    def __init__(self, place: Path, image: Path | None) -> None:
        self.place = place
        self.image = image

    def make(self) -> None:
        """Make it, empty, and mount it."""
        if self.image:
            with self.image.open("wb") as file:
                file.truncate(EXT4_BYTES)
            # Nothing is kept for root, who fills it: full is full.
            _run("mkfs.ext4", "-q", "-m", "0", str(self.image))
        self.mount()
        with contextlib.suppress(FileNotFoundError):
            (self.place / "lost+found").rmdir()

    def mount(self) -> None:
        if self.image:
            _run("mount", "-o", "loop", str(self.image), str(self.place))
        else:
            _run("mount", "-t", "tmpfs", "-o", f"size={TMPFS_BYTES}", "none", str(self.place))

    def unmount(self) -> None:
        """Unmount it, once nobody uses it any more."""
        give_up_at = time.monotonic() + BUSY_S
        while True:
            try:
                _run("umount", str(self.place))
            except RuntimeError:
                if time.monotonic() > give_up_at:
                    raise
                time.sleep(0.1)
            else:
                return

    def fill(self) -> None:
        """Take all the space that is left, to the last block."""
        with (self.place / BALLAST).open("ab") as ballast:
            size, step = 0, os.statvfs(self.place).f_bavail * os.statvfs(self.place).f_bsize
            while step >= os.statvfs(self.place).f_bsize:
                try:
                    os.posix_fallocate(ballast.fileno(), size, step)
                    size += step
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    step //= 2

    def free(self) -> None:
        """Give the space back."""
        (self.place / BALLAST).unlink(missing_ok=True)

    def lose_power(self) -> None:
        """From now on nothing is written: what was not synced is lost at the next mount."""
        folder = os.open(self.place, os.O_RDONLY)
        try:
            fcntl.ioctl(folder, EXT4_IOC_SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        finally:
            os.close(folder)

    def keep(self) -> None:
        """Set aside what is on the disk, which is unmounted."""
        assert self.image
        _run("cp", "--sparse=always", str(self.image), f"{self.image}.kept")

    def put_back(self) -> None:
        """Have what was set aside on the disk, which is unmounted."""
        assert self.image
        Path(f"{self.image}.kept").replace(self.image)


@contextlib.contextmanager
def beneath(data_dir: Path) -> Iterator[Disk | None]:
    """Make the data folder of a cluster that lies on a disk of its own, where that can be."""
    if impossible():
        yield None
        return
    cluster = Cluster(data_dir)
    cluster._prepare()
    made = cluster.pgdata.with_name("postgres.made")
    cluster.pgdata.rename(made)
    cluster.pgdata.mkdir(mode=0o700)
    image = None if no_loop() else data_dir.with_name(f"{data_dir.name}.ext4")
    disk = Disk(cluster.pgdata, image)
    disk.make()
    try:
        _run("cp", "--archive", f"{made}/.", str(cluster.pgdata))
        shutil.copystat(made, cluster.pgdata)
        shutil.chown(cluster.pgdata, made.stat().st_uid, made.stat().st_gid)
        # What lies there before PostgreSQL starts must not be lost with what it has not synced.
        _run("sync", "--file-system", str(cluster.pgdata))
        shutil.rmtree(made)
        yield disk
    finally:
        disk.unmount()
        if image:
            image.unlink()


@functools.cache
def no_loop() -> str | None:
    """Why this machine mounts no file, or None."""
    if os.geteuid() != 0:
        return "mounting a file system takes root"
    if not shutil.which("mkfs.ext4"):
        return "there is no mkfs.ext4"
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder, "image")
        with image.open("wb") as file:
            file.truncate(8 << 20)
        return _tried(["mkfs.ext4", "-q", str(image)]) or _mounted("-o", "loop", str(image))


@functools.cache
def impossible() -> str | None:
    """Why this machine mounts no file system of a fixed size at all, or None."""
    if os.geteuid() != 0:
        return "mounting a file system takes root"
    return no_loop() and _mounted("-t", "tmpfs", "-o", "size=1m", "none")


def _mounted(*words: str) -> str | None:
    with tempfile.TemporaryDirectory() as place:
        reason = _tried(["mount", *words, place])
        if reason is None:
            _run("umount", place)
    return reason


def _tried(command: list[str]) -> str | None:
    try:
        _run(*command)
    except (OSError, RuntimeError) as error:
        return str(error)
    return None


def _run(*command: str) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["it said nothing"]
        raise RuntimeError(f"{command[0]}: {said[-1]}")
