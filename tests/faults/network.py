"""Two hosts on one machine: network namespaces, with a cable between each two of three places.

The places are `a`, `b` and here. A cable can be pulled out and put in again.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

HERE = "here"
Cable = tuple[str, str]
CABLES: tuple[Cable, ...] = ((HERE, "a"), (HERE, "b"), ("a", "b"))
CLONE_NEWNET = 0x40000000


class Network:
    """Namespaces and cables, named for this process."""

    def __init__(self) -> None:
        self._name = f"ates{os.getpid() % 100_000}"
        self._net = 10, 213, os.getpid() % 250
        self._cut: set[Cable] = set()

    def make(self) -> None:
        for host in ("a", "b"):
            _ip("netns", "add", self._host(host))
            _ip("-n", self._host(host), "link", "set", "lo", "up")
        for one, other in CABLES:
            ends = self._end(one, other), self._end(other, one)
            peer = ["peer", "name", ends[1], "netns", self._host(other)]
            _ip(*self._at(one), "link", "add", ends[0], "type", "veth", *peer)
            for place, end in ((one, ends[0]), (other, ends[1])):
                address = f"{self.address(place, other if place == one else one)}/30"
                _ip(*self._at(place), "address", "add", address, "dev", end)
                _ip(*self._at(place), "link", "set", end, "up")

    def remove(self) -> None:
        """Remove the namespaces; the cables go with them."""
        for host in ("a", "b"):
            with contextlib.suppress(RuntimeError):
                _ip("netns", "delete", self._host(host))

    def address(self, place: str, seen_from: str) -> str:
        """The address of a place, on its cable to another."""
        cable = _cable(place, seen_from)
        first, second, third = self._net
        return f"{first}.{second}.{third}.{4 * CABLES.index(cable) + 1 + cable.index(place)}"

    def cut(self, one: str, other: str) -> None:
        """Pull a cable out."""
        cable = _cable(one, other)
        self._set(cable, "down")
        self._cut.add(cable)

    def heal(self) -> None:
        """Put all cables in again."""
        while self._cut:
            self._set(self._cut.pop(), "up")

    @contextlib.contextmanager
    def on(self, host: str) -> Iterator[None]:
        """What this thread starts in the block runs on a host."""
        back = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        there = os.open(Path("/run/netns", self._host(host)), os.O_RDONLY)
        try:
            _enter(there)
            yield
        finally:
            _enter(back)
            os.close(there)
            os.close(back)

    def _set(self, cable: Cable, state: str) -> None:
        one, other = cable
        _ip(*self._at(one), "link", "set", self._end(one, other), state)

    def _host(self, host: str) -> str:
        return f"{self._name}-{host}"

    def _at(self, place: str) -> list[str]:
        return [] if place == HERE else ["-n", self._host(place)]

    def _end(self, place: str, towards: str) -> str:
        return f"{self._name}{place[0]}{towards[0]}"


@contextlib.contextmanager
def network() -> Iterator[Network]:
    """Make a network, and remove it afterwards."""
    made = Network()
    try:
        made.make()
        yield made
    finally:
        made.remove()


@functools.cache
def impossible() -> str | None:
    """Why this machine makes no network namespaces, or None."""
    if os.geteuid() != 0:
        return "network namespaces take root"
    if not shutil.which("ip"):
        return "there is no ip (iproute2)"
    try:
        with network():
            return None
    except (OSError, RuntimeError) as error:
        return str(error)


def _cable(one: str, other: str) -> Cable:
    return next(cable for cable in CABLES if set(cable) == {one, other})


def _enter(namespace: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"ip {' '.join(words)}: {done.stderr.strip()}")
