"""Counts that stop at a bound: nobody waits for millions to be counted for a figure at a list."""

from __future__ import annotations


class Count(int):
    """How many there are, or the bound at which counting stopped: then `is_more`."""

    is_more = False

    @classmethod
    def up_to(cls, bound: int, found: int) -> Count:
        """Of a statement that stops one after `bound`."""
        count = cls(min(found, bound))
        count.is_more = found > bound
        return count
