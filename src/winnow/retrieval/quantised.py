"""What the indexes of the faiss library share: a quantised copy to look in, exact vectors to judge by, a breadth that
is measured when the index is built."""

from abc import abstractmethod
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from winnow.retrieval.index import Ints, Stored, Vectors, refine, scan
from winnow.retrieval.kept import Kept

FILE = "index.faiss"
TARGET = 0.98
"""Recall that the breadth of a new index is chosen for."""

_lib: Any = faiss
_TRIED, _TRIED_K, _TRIED_FEW = 128, 100, 10


class Quantised(Stored):
    """An index of the faiss library beside the vectors.

    Args:
        vectors, rows, encoder: as for `Stored`.
        ready: the index of the library, from disk; built when left out.
        breadth: how far a search looks; measured when left out.
    """

    narrowest = 8

    def __init__(self, vectors: Vectors, rows: Ints, encoder: str, *, ready: Any = None, breadth: int = 0):
        super().__init__(vectors, rows, encoder)
        self._index = self._built() if ready is None else ready
        self.breadth = breadth or self.narrowest
        if not breadth:
            self.tune(self._sample())

    @property
    def widest(self) -> int:
        """The breadth beyond which `widen` does not go."""
        return 2_048

    @abstractmethod
    def _built(self) -> Any:
        """The index of the library over `self.vectors`."""

    @abstractmethod
    def _look(self, queries: Vectors, fetch: int) -> Ints:
        """Positions int64 [Q, fetch] of the nearest by quantised scores, among all items; -1 pads."""

    def _fetch(self, k: int) -> int:
        """How many items are judged again by their exact vectors."""
        return k + k // 4 + 2

    def _nearest(self, queries: Vectors, k: int) -> tuple[Ints, Vectors]:
        found = self._look(queries, min(self._fetch(k), len(self)))
        positions, scores = refine(self.vectors, queries, found)
        return positions[:, :k], scores[:, :k]

    def tune(self, queries: Vectors, *, target: float = TARGET) -> float:
        """Chooses the smallest breadth whose measured recall reaches a target.

        Args:
            queries: float32 [Q, D]; real ones where there are any, for recall depends on where they lie.
            target: mean share of the exact best 100, and of the best 10, to be found.

        Returns:
            the recall at the chosen breadth.
        """
        k = min(_TRIED_K, max(len(self) // 10, 1))
        exact = scan(self.vectors, queries, k)[0]
        self.breadth = self.narrowest
        while (reached := self._reached(queries, exact)) < target and self.widen():
            pass
        return reached

    def _reached(self, queries: Vectors, exact: Ints) -> float:
        """The lower recall of a long list and a short one, which a graph finds by looking at fewer items."""
        few = min(_TRIED_FEW, exact.shape[1])
        lists = (exact, exact[:, :few])
        return min(overlap(self._nearest(queries, best.shape[1])[0], best) for best in lists)

    def widen(self) -> bool:
        if self.breadth >= self.widest:
            return False
        self.breadth = min(2 * self.breadth, self.widest)
        return True

    def _sample(self) -> Vectors:
        """Some of the vectors, as queries."""
        places = np.sort(np.random.default_rng(0).permutation(len(self))[:_TRIED])
        return np.ascontiguousarray(self.vectors[places])

    def facts(self) -> dict[str, Any]:
        return {**super().facts(), "breadth": self.breadth}

    def _write(self, folder: Path) -> None:
        super()._write(folder)
        _lib.write_index(self._index, str(folder / FILE))


def overlap(found: Ints, exact: Ints) -> float:
    """Mean share of exact lists, int64 [Q, k], that found lists, int64 [Q, m], hold; a list has distinct ids or -1."""
    both = np.sort(np.hstack([found, exact]), axis=1)
    return float(((both[:, 1:] == both[:, :-1]) & (both[:, 1:] >= 0)).sum() / max(exact.size, 1))


class HNSW(Quantised):
    """A navigable graph over 8-bit vectors.

    With a filter the graph is searched as without one, for more items, and what the filter forbids is dropped; a query
    that is left with too few, because the permitted items lie elsewhere, is compared with all permitted items.

    Source: Malkov and Yashunin, Efficient and robust approximate nearest neighbor search using hierarchical navigable
    small world graphs, IEEE TPAMI 42 (2020).
    """

    narrowest = 32
    links = 32
    build_breadth = 80
    most = 1_000  # items fetched for a filter to choose from; beyond it a scan is faster

    def _built(self) -> Any:
        eight_bits = _lib.ScalarQuantizer.QT_8bit
        index = _lib.IndexHNSWSQ(self.dimensions, eight_bits, self.links, _lib.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = self.build_breadth
        index.train(self.vectors)
        index.add(self.vectors)
        return index

    def _look(self, queries: Vectors, fetch: int) -> Ints:
        parameters = _lib.SearchParametersHNSW(efSearch=max(self.breadth, fetch + fetch // 2))
        positions: Ints = self._index.search(queries, fetch, params=parameters)[1]
        return positions

    def _near(self, queries: Vectors, k: int, kept: Kept) -> tuple[Ints, Vectors]:
        if kept.count == len(self):
            return self._nearest(queries, k)
        fetch = int(2 * self._fetch(k) * len(self) / kept.count)
        if fetch > self.most:
            return self._scan(queries, k, kept)
        found = self._look(queries, min(fetch, len(self)))
        usable = (found >= 0) & kept.holds(self.rows[found])
        positions, scores = refine(self.vectors, queries, np.where(usable, found, -1))
        positions, scores = _widened(positions, scores, k)
        short = usable.sum(axis=1) < min(self._fetch(k), kept.count)
        if short.any():
            positions[short], scores[short] = self._scan(queries[short], k, kept)
        return positions, scores


def _widened(positions: Ints, scores: Vectors, k: int) -> tuple[Ints, Vectors]:
    """The k best of sorted lists, which may be shorter than that."""
    pad = ((0, 0), (0, max(0, k - positions.shape[1])))
    positions = np.pad(positions, pad, constant_values=-1)
    return positions[:, :k].copy(), np.pad(scores, pad, constant_values=-np.inf)[:, :k].copy()
