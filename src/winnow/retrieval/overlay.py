"""Vectors that came after an index was built: a buffer that only grows, compared as a whole with each query."""

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
        self._fit(self._n + len(rows), int(rows.max(initial=-1)) + 1)
        new = slice(self._n, self._n + len(rows))
        self._rows[new], self._vectors[new], self._current[new] = rows, vectors, True
        self._place[rows] = np.arange(new.start, new.stop)
        self._n = new.stop

    def remove(self, rows: Ints) -> bool:
        """Takes rows out; False when none was in."""
        known = rows[(rows >= 0) & (rows < len(self._place))]
        places = self._place[known]
        self._current[places[places >= 0]] = False
        self._place[known] = -1
        return bool((places >= 0).any())

    def seen(self) -> Rest:
        """What it holds now."""
        return Rest(self._rows[: self._n], self._vectors[: self._n], np.flatnonzero(self._current[: self._n]))

    def _fit(self, entries: int, rows: int) -> None:
        # Buffers are replaced, not resized: searches may still read the old ones.
        if entries > len(self._rows):
            spare = max(entries, 2 * len(self._rows)) - len(self._rows)
            self._rows = np.pad(self._rows, (0, spare))
            self._vectors = np.pad(self._vectors, ((0, spare), (0, 0)))
            self._current = np.pad(self._current, (0, spare))
        if rows > len(self._place):
            self._place = np.pad(self._place, (0, 2 * rows - len(self._place)), constant_values=-1)
