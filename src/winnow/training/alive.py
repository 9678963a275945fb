"""Which items were alive at any past moment, from every version of every row.

A span [begin, end) is a version of an item that was known, not deleted and alive. V spans, M moments.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from winnow.core.system import System
from winnow.features.alive import Alive
from winnow.features.source import Source
from winnow.features.state import NEVER

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]
_EVER = np.iinfo(np.int64).max
_PAIRS = 1 << 22  # moments times items in memory at once


@dataclass(frozen=True, eq=False)
class Lives:
    """The spans in which items could be chosen, by their begin.

    Args:
        row: item rows, int64 [V].
        begin: the first moment of each span, int64 [V], ascending.
        end: the first moment after it, int64 [V].
    """

    row: Ints
    begin: Ints
    end: Ints

    @classmethod
    def of(cls, system: System, source: Source) -> "Lives":
        """From the history of a system's items."""
        columns = source.rows(system.labels.item.name)
        row, known, seq = (np.asarray(columns[name], np.int64) for name in ("row", "known_at", "seq"))
        order = np.lexsort((seq, known, row))
        row, known = row[order], known[order]
        begin, end = known + 1, np.full(len(row), _EVER)  # known from the moment after it became known
        again = np.flatnonzero(row[1:] == row[:-1])
        end[again] = known[again + 1] + 1
        alive: Alive | None = system.alive
        if alive is not None and alive.since is not None:
            begin = np.maximum(begin, _column(columns, alive.since.columns[-1])[order])
        if alive is not None and alive.until is not None:
            until = _column(columns, alive.until.columns[-1])[order]
            end = np.where(until == NEVER, end, np.minimum(end, until))
        kept = (np.asarray(columns["deleted"])[order] != 1) & (begin < end)
        sort = np.flatnonzero(kept)[np.argsort(begin[kept], kind="stable")]
        return cls(row[sort], begin[sort], end[sort])

    def within(self, first: int, last: int) -> "Lives":
        """The spans that reach into [first, last]."""
        some = slice(0, int(np.searchsorted(self.begin, last, "right")))
        kept = self.end[some] > first
        return Lives(self.row[some][kept], self.begin[some][kept], self.end[some][kept])

    def at(self, moment: int) -> Ints:
        """The items alive at a moment, ascending."""
        return np.sort(self.within(moment, moment).row)

    def parts(self, at: Ints) -> Iterator[tuple[Ints, "Lives"]]:
        """Moments in groups of which all pairs with the spans around them fit in memory: places in `at`, and spans."""
        order = np.argsort(at, kind="stable")
        start, size = 0, 1024
        while start < len(order):
            some = order[start : start + size]
            near = self.within(int(at[some[0]]), int(at[some[-1]]))
            if len(some) > 1 and len(some) * len(near.row) > _PAIRS:
                size = max(1, len(some) // 2)
                continue
            yield some, near
            start += len(some)

    def mask(self, at: Ints) -> Mask:
        """Which spans hold which moments, bool [M, V]."""
        return np.asarray((self.begin <= at[:, None]) & (at[:, None] < self.end))

    def holds(self, rows: Ints, at: Ints) -> Mask:
        """Whether each item was alive at its moment, bool [M]."""
        if not len(self.row):
            return np.zeros(len(rows), np.bool_)
        moments, ranks = np.unique(np.concatenate([self.begin, at]), return_inverse=True)
        keys = np.concatenate([self.row, rows]) * len(moments) + ranks
        order = np.argsort(keys[: len(self.row)], kind="stable")
        last = np.searchsorted(keys[order], keys[len(self.row) :], "right") - 1
        span = order[np.maximum(last, 0)]
        return np.asarray((last >= 0) & (self.row[span] == rows) & (at < self.end[span]))

    def bounds(self, rows: Ints) -> Ints:
        """The first moment of each item and the first after its last, int64 [n, 2]; equal for one that never lived."""
        size = int(max(rows.max(initial=-1), self.row.max(initial=-1))) + 1
        first, last = np.full(size, _EVER), np.full(size, _EVER)
        last[self.row] = NEVER
        np.minimum.at(first, self.row, self.begin)
        np.maximum.at(last, self.row, self.end)
        return np.stack([first[rows], last[rows]], axis=1)


def _column(columns: Any, name: str) -> Ints:
    """A time column of all versions."""
    return np.asarray(columns[name], np.int64)
