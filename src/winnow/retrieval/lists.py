"""Indexes that sort items into lists around cluster centres; a query looks into the lists nearest to it.

A filter leaves some lists full and some empty. Which, is counted list by list in the order of nearness, and a query
goes on until it has seen as many permitted items as a search without a filter sees.
"""

from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from winnow.retrieval.index import Ints, Vectors, best, refine
from winnow.retrieval.kept import Kept
from winnow.retrieval.quantised import Quantised

LISTED = "lists.npy"

_lib: Any = faiss
_SAMPLE = 64  # training vectors per list
_LEAST = 39  # items per list; fewer make poor centres
_ROUNDS = 10
_SEEN_PER_FOUND = 4
_SPARSE = 0.5  # of the density that a filter has everywhere: with less near a query, it avoids the query
_SETTLED = 0.1  # share of new items in the answer up to which a further look has not changed it


class Lists:
    """Which rows lie in which list.

    Args:
        rows: by list, int32 [I].
        starts: where each list begins in `rows`, int64 [L + 1].
        centres: float32 [L, D].
    """

    def __init__(self, rows: NDArray[np.int32], starts: Ints, centres: Vectors):
        self.rows, self.starts, self.centres = rows, starts, centres
        self.sizes = np.diff(starts)

    @classmethod
    def of(cls, index: Any, rows: NDArray[np.int32] | None = None) -> "Lists":
        """The lists of an index of the library; `rows` as saved before, to be mapped from disk."""
        inside = index.invlists
        sizes = [inside.list_size(i) for i in range(index.nlist)]
        starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        if rows is None:
            filled = [_lib.rev_swig_ptr(inside.get_ids(i), size) for i, size in enumerate(sizes) if size]
            rows = np.concatenate(filled).astype(np.int32)
        if len(rows) != starts[-1]:
            raise ValueError(f"{LISTED} has {len(rows)} rows, the lists have {starts[-1]}")
        return cls(rows, starts, index.quantizer.reconstruct_n(0, index.nlist))

    def permitted(self, lists: Ints, kept: Kept) -> Ints:
        """How many rows of each list are kept, int64 [l]; no list is empty."""
        sizes = self.sizes[lists]
        begin = np.cumsum(sizes) - sizes
        at = np.repeat(self.starts[lists] - begin, sizes) + np.arange(sizes.sum())
        return np.add.reduceat(kept.flags[self.rows[at]], begin, dtype=np.int64)


class Walk:
    """A walk of one query over the lists, nearest first.

    Args:
        lists: of the index.
        query: float32 [1, D].
        kept: the permitted rows.
    """

    def __init__(self, lists: Lists, query: Vectors, kept: Kept):
        self._lists, self._kept = lists, kept
        self._nearness = lists.centres @ query[0]
        order = np.argsort(-self._nearness, kind="stable")
        self._order = order[lists.sizes[order] > 0]
        self._items = np.cumsum(lists.sizes[self._order])
        self.passed, self.looks, self.permitted, self.density = 0, 0, 0, 0.0

    @property
    def items(self) -> int:
        """Items passed so far, permitted or not."""
        return int(self._items[self.passed - 1]) if self.passed else 0

    @property
    def ended(self) -> bool:
        return self.passed >= len(self._order)

    def look(self, width: float, enough: float) -> tuple[Ints, Vectors]:
        """Walks over `width` more items, or until `enough` permitted ones have been seen in all.

        Returns:
            the lists that hold permitted items, int64 [l], and their nearness, float32 [l].
        """
        end = int(np.searchsorted(self._items, self.items + width)) + 1
        ahead = self._order[self.passed : end]
        counts = self._lists.permitted(ahead, self._kept)
        seen = np.cumsum(counts)
        self.density = float(seen[-1] / self._lists.sizes[ahead].sum())
        upto = min(int(np.searchsorted(seen, enough - self.permitted)) + 1, len(ahead))
        self.passed += upto
        self.permitted += int(seen[upto - 1])
        self.looks += 1
        chosen = ahead[:upto][counts[:upto] > 0]
        return chosen, self._nearness[chosen]


class IVF(Quantised):
    """8-bit vectors in lists around cluster centres.

    Source: Jégou, Douze and Schmid, Product quantization for nearest neighbor search, IEEE TPAMI 33 (2011).
    """

    def __init__(
        self, vectors: Vectors, rows: Ints, encoder: str, *, ready: Any = None, breadth: int = 0,
        listed: NDArray[np.int32] | None = None,
    ):  # fmt: skip
        super().__init__(vectors, rows, encoder, ready=ready, breadth=breadth)
        self._lists = Lists.of(self._index, listed)

    @property
    def widest(self) -> int:
        return int(self._index.nlist)

    def _built(self) -> Any:
        lists = max(1, min(int(4 * len(self) ** 0.5), len(self) // _LEAST))
        index = self._empty(_lib.IndexFlatIP(self.dimensions), lists)
        index.cp.niter = _ROUNDS
        sample = np.random.default_rng(0).permutation(len(self))[: lists * _SAMPLE]
        index.train(self.vectors[np.sort(sample)])
        index.add_with_ids(self.vectors, self.rows)
        return index

    def _empty(self, centres: Any, lists: int) -> Any:
        """An index of the library to be trained."""
        eight_bits = _lib.ScalarQuantizer.QT_8bit
        return _lib.IndexIVFScalarQuantizer(centres, self.dimensions, lists, eight_bits, _lib.METRIC_INNER_PRODUCT)

    def _look(self, queries: Vectors, fetch: int) -> Ints:
        # A long answer needs lists that hold it several times over.
        needed = -(-_SEEN_PER_FOUND * fetch * self._index.nlist // len(self))
        nprobe = min(self._index.nlist, max(self.breadth, needed))
        return self._found(self._index.search(queries, fetch, params=_lib.SearchParametersIVF(nprobe=nprobe))[1])

    def _found(self, rows: Ints) -> Ints:
        """Positions of rows; -1 stays."""
        return np.where(rows < 0, -1, self.positions(rows))

    def _near(self, queries: Vectors, k: int, kept: Kept) -> tuple[Ints, Vectors]:
        if kept.count == len(self):
            return self._nearest(queries, k)
        fetch = min(self._fetch(k), kept.count)
        rows = np.vstack([self._filtered(query[None], fetch, kept) for query in queries])
        positions, scores = refine(self.vectors, queries, self._found(rows))
        return positions[:, :k], scores[:, :k]

    def _filtered(self, query: Vectors, fetch: int, kept: Kept) -> Ints:
        """Rows int64 [1, fetch] of the nearest permitted items by quantised scores; -1 pads.

        The first look is as wide as a filter needs that is spread evenly. Where permitted items turn out to be sparse
        near the query, each further look is as wide as all before, until one hardly changes the answer.
        """
        walk, share = Walk(self._lists, query, kept), kept.count / len(self)
        needed = max(self.breadth * len(self) / self._index.nlist, _SEEN_PER_FOUND * fetch)
        answer = self._in_lists(query, *walk.look(1.1 * needed / share, needed), fetch=fetch, kept=kept)
        sparse = walk.density < _SPARSE * share
        while not walk.ended:
            if walk.permitted >= needed and not sparse:
                break
            more = self._in_lists(query, *walk.look(walk.items, needed * 2**walk.looks), fetch=fetch, kept=kept)
            answer = best(np.hstack([answer[0], more[0]]), np.hstack([answer[1], more[1]]), fetch)
            fresh = np.isin(answer[0], more[0][more[0] >= 0]).mean()
            if walk.permitted >= needed and fresh <= _SETTLED:
                break
        return answer[0]

    def _in_lists(
        self, query: Vectors, lists: Ints, nearness: Vectors, *, fetch: int, kept: Kept
    ) -> tuple[Ints, Vectors]:
        """The nearest permitted items of some lists, by quantised scores."""
        scores, rows = np.full((1, fetch), -np.inf, np.float32), np.full((1, fetch), -1, np.int64)
        if len(lists):
            selector, pointer = _lib.IDSelectorBitmap(kept.bits), _lib.swig_ptr
            parameters = _lib.SearchParametersIVF(nprobe=len(lists), sel=selector)
            self._index.search_preassigned_c(
                1, pointer(np.ascontiguousarray(query)), fetch, pointer(lists), pointer(nearness), pointer(scores),
                pointer(rows), False, parameters,
            )  # fmt: skip
        return rows, scores

    def _write(self, folder: Path) -> None:
        super()._write(folder)
        np.save(folder / LISTED, self._lists.rows)


class PQ(IVF):
    """As `IVF` with a byte for two numbers: half the memory, and more items judged again by their exact vectors."""

    def _empty(self, centres: Any, lists: int) -> Any:
        parts = max(p for p in range(1, max(self.dimensions // 2, 1) + 1) if self.dimensions % p == 0)
        index = _lib.IndexIVFPQ(centres, self.dimensions, lists, parts, 8, _lib.METRIC_INNER_PRODUCT)
        training = index.pq.cp
        training.niter, training.min_points_per_centroid, training.max_points_per_centroid = _ROUNDS, 1, _SAMPLE
        return index

    def _fetch(self, k: int) -> int:
        return 4 * k + 100
