"""Vectors that came after an index was built: a buffer that is compared as a whole with each query."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from winnow.retrieval.index import Found, Ints, Vectors, nothing, padded, scan
from winnow.retrieval.kept import Allowed, permitted

_START = 256


class Rest(NamedTuple):
    """What searches see of an overlay; later changes do not touch it.

    Args:
        rows: int64 [n], in order of arrival.
        vectors: float32 [n, D].
        current: places that no later one replaced, int64 [m].
    """

    rows: Ints
    vectors: Vectors
    current: Ints

    def find(self, queries: Vectors, k: int, allowed: Allowed) -> Found:
        """The exact k best of what is allowed."""
        at = self.current if allowed is None else self.current[permitted(allowed, self.rows[self.current])]
        if not len(at) or not len(queries):
            return nothing(len(queries), k)
        found, scores = scan(self.vectors, queries, min(k, len(at)), at)
        return padded(self.rows[found], scores, k)


class Overlay:
    """The writer's side of a `Rest`. Entries beyond what a `Rest` shows are free to be written.

    Args:
        dimensions: D.
    """

    def __init__(self, dimensions: int):
        self._rows = np.empty(_START, np.int64)
        self._vectors = np.empty((_START, dimensions), np.float32)
        self._current = np.zeros(_START, np.bool_)
        self._place: NDArray[np.int64] = np.zeros(0, np.int64)  # by row, -1 for none
        self._n = 0

    def put(self, rows: Ints, vectors: Vectors) -> None:
        """Adds distinct rows or replaces their vectors."""
        self.remove(rows)
        self._fit(len(rows), int(rows.max(initial=-1)) + 1)
        new = slice(self._n, self._n + len(rows))
        self._rows[new], self._vectors[new], self._current[new] = rows, vectors, True
        self._place[rows] = np.arange(new.start, new.stop)
        self._n = new.stop

    def remove(self, rows: Ints) -> None:
        """Takes rows out; those that are not in are fine."""
        known = rows[(rows >= 0) & (rows < len(self._place))]
        places = self._place[known]
        self._current[places[places >= 0]] = False
        self._place[known] = -1

    def seen(self) -> Rest:
        """What it holds now."""
        return Rest(self._rows[: self._n], self._vectors[: self._n], np.flatnonzero(self._current[: self._n]))

    def _fit(self, more: int, rows: int) -> None:
        if self._n + more > len(self._rows):
            self._renew(more)
        if rows > len(self._place):
            self._place = np.pad(self._place, (0, 2 * rows - len(self._place)), constant_values=-1)

    def _renew(self, more: int) -> None:
        """Goes on in new buffers, without what was replaced: searches may still read the old ones."""
        current = np.flatnonzero(self._current[: self._n])
        n, size = len(current), max(2 * (len(current) + more), _START)
        rows, vectors = np.empty(size, np.int64), np.empty((size, self._vectors.shape[1]), np.float32)
        rows[:n], vectors[:n] = self._rows[current], self._vectors[current]
        self._rows, self._vectors, self._current, self._n = rows, vectors, np.arange(size) < n, n
        self._place[rows[:n]] = np.arange(n)
