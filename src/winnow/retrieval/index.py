"""What a vector index is, and what all stored ones share.

Shapes: Q queries, D dimensions, I indexed items. A *row* is an item's row number in its domain, a *position* its place
in the index, 0..I-1. Scores are inner products; higher is nearer.
"""

import json
import os
import shutil
from abc import ABC, abstractmethod
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import faiss
import numpy as np
from numpy.typing import NDArray

from winnow.core.errors import Conflict, Problem
from winnow.core.time import now_us
from winnow.retrieval.checks import check_encoder, check_vectors
from winnow.retrieval.kept import Allowed, Kept

Vectors = NDArray[np.float32]
Ints = NDArray[np.int64]

SCAN_SHARE = 0.02
"""Up to this share of permitted items an exact scan costs less than any structure."""
SCAN_NUMBERS = 3_500_000
"""Up to this many numbers (permitted items × D) an exact scan takes one to three milliseconds, and finds everything."""

FORMAT = 2
"""Of the files that `Stored.save` writes."""

_lib: Any = faiss  # its type stubs miss half of what it has
_NOTHING = np.float32(-np.inf)
_REFINE_BLOCK = 128
_SCAN_BLOCK = 65_536
_SAVING = ".saving-"


class Found(NamedTuple):
    """Rows int64 [Q, k], best first, with scores float32 [Q, k]; short lists end with row -1 and score -inf."""

    rows: Ints
    scores: Vectors


class VectorIndex(Protocol):
    """Nearest items by inner product."""

    @property
    def encoder(self) -> str:
        """Version of the encoder that made the vectors."""
        ...

    @property
    def dimensions(self) -> int:
        """D."""
        ...

    def __len__(self) -> int:
        """Items that can be found."""
        ...

    def search(self, queries: Vectors, k: int, allowed: Allowed = None, *, encoder: str) -> Found:
        """The k items with the largest inner product.

        Args:
            queries: float32 [Q, D].
            k: length of each list.
            allowed: which items may be found: bool over row numbers (rows past its end may not), int64 row numbers,
                or None for all.
            encoder: version of the encoder that made the queries.

        Raises:
            Conflict: `encoder-differs`.
            InputError: `vector-shape`, `vector-not-finite`.
        """
        ...


class Stored(ABC):
    """An immutable index with its vectors, saved as a folder and opened memory-mapped; made by `kinds.build`.

    Args:
        vectors: float32 [I, D].
        rows: distinct row numbers, int64 [I].
        encoder: version of the encoder that made the vectors.
    """

    def __init__(self, vectors: Vectors, rows: Ints, encoder: str):
        self.vectors, self.rows, self.encoder = vectors, rows, encoder
        self.made_at = now_us()
        """When it was built, microseconds UTC."""
        size = int(rows.max(initial=-1)) + 1
        self._in_order = size == len(rows) and bool((rows == np.arange(size)).all())
        flags = np.zeros(size, np.bool_)
        flags[rows] = True
        self.kept = Kept(size, flags=flags)

    @property
    def dimensions(self) -> int:
        return int(self.vectors.shape[1])

    def __len__(self) -> int:
        return len(self.rows)

    def search(self, queries: Vectors, k: int, allowed: Allowed = None, *, encoder: str) -> Found:
        """See `VectorIndex.search`."""
        check_encoder(encoder, self.encoder)
        check_vectors(queries, self.dimensions)
        return self.find(queries, k, self.kept.narrowed(allowed))

    def find(self, queries: Vectors, k: int, kept: Kept, *, exact: bool = False) -> Found:
        """`search` after its checks.

        Args:
            queries: float32 [Q, D].
            k: length of each list.
            kept: the rows that may be found, all of them rows of this index.
            exact: whether to compare with every one of them, as the planner does for few.
        """
        short = min(k, kept.count)
        if not short or not len(queries):
            return nothing(len(queries), k)
        if exact or self.scans(kept):
            positions, scores = self._scan(queries, short, kept)
        else:
            positions, scores = self._near(queries, short, kept)
        return padded(np.where(positions < 0, -1, self.rows[positions]), scores, k)

    def scans(self, kept: Kept) -> bool:
        """Whether a search of these rows compares the query with every one of them."""
        if kept.count == len(self):
            return False
        return kept.count <= max(SCAN_SHARE * len(self), SCAN_NUMBERS / max(self.dimensions, 1))

    def positions(self, rows: Ints) -> Ints:
        """Places of rows that are in the index, int64 [n]."""
        return rows if self._in_order else self._places[rows]

    @cached_property
    def _places(self) -> Ints:
        places = np.full(self.kept.size, -1, np.int64)
        places[self.rows] = np.arange(len(self))
        return places

    def _scan(self, queries: Vectors, k: int, kept: Kept) -> tuple[Ints, Vectors]:
        return scan(self.vectors, queries, k, None if kept.count == len(self) else self.positions(kept.rows))

    @abstractmethod
    def _near(self, queries: Vectors, k: int, kept: Kept) -> tuple[Ints, Vectors]:
        """Positions int64 [Q, k] (-1 pads) and exact scores, best first; k is at most the number kept."""

    def widen(self) -> bool:
        """Looks at twice as many items from now on, after a probe found too little; False when that is all."""
        return False

    def save(self, folder: Path) -> None:
        """Writes the index into a new folder, which is there as a whole or not at all.

        Raises:
            Conflict: `index-exists`.
        """
        if folder.exists():
            raise Conflict(Problem("index-exists", "there is an index already", str(folder), fix="save beside it"))
        draft = folder.with_name(_SAVING + folder.name)
        shutil.rmtree(draft, ignore_errors=True)  # of a process that died
        draft.mkdir(parents=True)
        self._write(draft)
        for path in [*draft.iterdir(), draft]:
            sync(path)
        draft.rename(folder)
        sync(folder.parent)

    def facts(self) -> dict[str, Any]:
        """What `open_index` needs to know."""
        own = {"kind": type(self).__name__, "encoder": self.encoder, "items": len(self), "dimensions": self.dimensions}
        return {"format": FORMAT, **own}

    def _write(self, folder: Path) -> None:
        np.save(folder / "vectors.npy", np.ascontiguousarray(self.vectors))
        np.save(folder / "rows.npy", self.rows)
        (folder / "index.json").write_text(json.dumps(self.facts()))


def scan(vectors: Vectors, queries: Vectors, k: int, positions: Ints | None = None) -> tuple[Ints, Vectors]:
    """The exact k best of some or all positions: int64 [Q, k] and float32 [Q, k]; k is at most their number."""
    if positions is not None and len(queries) == 1 and vectors.flags.c_contiguous:
        return _scan_in_place(vectors, queries, k, np.ascontiguousarray(positions))
    if positions is None:
        scores, found = faiss.knn(queries, vectors, k, metric=faiss.METRIC_INNER_PRODUCT)
        return found, scores
    starts = range(0, len(positions), _SCAN_BLOCK)
    parts = [_scan_copied(vectors, queries, k, positions[s : s + _SCAN_BLOCK]) for s in starts]
    return best(np.hstack([found for found, _ in parts]), np.hstack([scores for _, scores in parts]), k)


def _scan_copied(vectors: Vectors, queries: Vectors, k: int, positions: Ints) -> tuple[Ints, Vectors]:
    """`scan` of so few positions that their vectors may be copied; at most k of them."""
    chosen = np.take(vectors, positions, axis=0)
    scores, found = faiss.knn(queries, chosen, min(k, len(positions)), metric=faiss.METRIC_INNER_PRODUCT)
    return positions[found], scores


def _scan_in_place(vectors: Vectors, query: Vectors, k: int, positions: Ints) -> tuple[Ints, Vectors]:
    """`scan` for one query, four times as fast because no vector is copied."""
    scores, found = np.empty((1, k), np.float32), np.empty((1, k), np.int64)
    query, pointer = np.ascontiguousarray(query), _lib.swig_ptr
    items, dimensions, n = len(vectors), vectors.shape[1], len(positions)
    _lib.knn_inner_products_by_idx(
        pointer(query), pointer(vectors), pointer(positions), dimensions, 1, items, n, k,
        pointer(scores), pointer(found), n,
    )  # fmt: skip
    return found, scores


def refine(vectors: Vectors, queries: Vectors, positions: Ints) -> tuple[Ints, Vectors]:
    """The positions ordered by their exact scores; -1 last."""
    scores = np.empty(positions.shape, np.float32)
    for start in range(0, len(queries), _REFINE_BLOCK):
        block = slice(start, start + _REFINE_BLOCK)
        scores[block] = np.matmul(vectors[positions[block]], queries[block, :, None])[:, :, 0]
    scores[positions < 0] = _NOTHING
    return best(positions, scores, positions.shape[1])


def best(places: Ints, scores: Vectors, k: int) -> tuple[Ints, Vectors]:
    """The k with the highest scores of each line, best first."""
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(places, order, axis=1), np.take_along_axis(scores, order, axis=1)


def padded(rows: Ints, scores: Vectors, k: int) -> Found:
    """Lists of any length as lists of k."""
    short = k - rows.shape[1]
    rows = np.pad(rows.astype(np.int64, copy=False), ((0, 0), (0, short)), constant_values=-1) if short else rows
    scores = np.pad(scores, ((0, 0), (0, short)), constant_values=_NOTHING) if short else scores
    return Found(rows, np.where(rows < 0, _NOTHING, scores))


def merged(one: Found, other: Found, k: int) -> Found:
    """The k best of two answers about different rows."""
    return Found(*best(np.hstack([one.rows, other.rows]), np.hstack([one.scores, other.scores]), k))


def nothing(queries: int, k: int) -> Found:
    """Empty lists."""
    return Found(np.full((queries, k), -1, np.int64), np.full((queries, k), _NOTHING))


def sync(path: Path) -> None:
    """Waits until a file or the names in a folder are on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
