"""Which items a search may return, by row number.

A filter arrives as flags by row or as a list of rows. Neither is turned into places of the index: the structures that
filter while they search know items by row, so that a filter over a million items costs a few passes over bytes.
"""

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]
Allowed = Mask | Ints | None

_FEW = 64  # a list of at most one row in so many is sorted rather than spread over flags


class Kept:
    """A set of rows of one index.

    Args:
        size: row numbers lie below it, R.
        flags: bool [R]; or
        rows: ascending, distinct, int64.
    """

    def __init__(self, size: int, *, flags: Mask | None = None, rows: Ints | None = None):
        self.size = size
        if flags is not None:
            self.flags = flags
            self.count = int(np.count_nonzero(flags))
        elif rows is not None:
            self.rows = rows
            self.count = len(rows)

    @cached_property
    def rows(self) -> Ints:
        """Ascending, int64 [count]."""
        return np.flatnonzero(self.flags)

    @cached_property
    def flags(self) -> Mask:
        """By row, bool [R]."""
        flags = np.zeros(self.size, np.bool_)
        flags[self.rows] = True
        return flags

    @cached_property
    def bits(self) -> NDArray[np.uint8]:
        """`flags` with eight rows to a byte, the lowest first."""
        return np.packbits(self.flags, bitorder="little")

    def holds(self, rows: Ints) -> Mask:
        """Which of some rows, int64 [n], are in the set."""
        return permitted(self.flags, rows)

    def narrowed(self, allowed: Allowed) -> "Kept":
        """The rows of this set that a filter allows."""
        if allowed is None:
            return self
        if allowed.dtype == np.bool_:
            return Kept(self.size, flags=_both(self.flags, allowed.astype(np.bool_, copy=False)))
        inside = allowed[(allowed >= 0) & (allowed < self.size)].astype(np.int64, copy=False)
        if len(inside) * _FEW < self.size:
            return Kept(self.size, rows=np.unique(inside[self.flags[inside]]))
        flags = np.zeros(self.size, np.bool_)
        flags[inside] = True
        return Kept(self.size, flags=flags & self.flags)

    def without(self, rows: Ints) -> "Kept":
        """The rows of this set but those given; the same object when none of them is in it."""
        gone = rows[self.holds(rows)]
        if not len(gone):
            return self
        flags = self.flags.copy()
        flags[gone] = False
        return Kept(self.size, flags=flags)


def permitted(allowed: Mask | Ints, rows: Ints) -> Mask:
    """Which of `rows`, int64 [n], a filter allows: bool [n]."""
    if allowed.dtype != np.bool_:
        return np.isin(rows, allowed) & (rows >= 0)
    if not len(allowed):
        return np.zeros(rows.shape, np.bool_)
    inside: Mask = (rows >= 0) & (rows < len(allowed))
    flags: Mask = allowed.astype(np.bool_, copy=False)
    return inside & flags[np.where(inside, rows, 0)]


def _both(flags: Mask, allowed: Mask) -> Mask:
    """Flags that are set in both; what lies beyond the end of the filter is not allowed."""
    if len(allowed) >= len(flags):
        return flags & allowed[: len(flags)]
    both = np.zeros(len(flags), np.bool_)
    both[: len(allowed)] = flags[: len(allowed)] & allowed
    return both
