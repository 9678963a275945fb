"""What a vector index is, and what all stored ones share.

Shapes: Q queries, D dimensions, I indexed items. A *row* is an item's row number in its domain, a *position* its place
in the index, 0..I-1. Scores are inner products; higher is nearer.
"""

import json
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar, NamedTuple, Protocol

import faiss
import numpy as np
from numpy.typing import NDArray

from winnow.core.errors import Conflict, InputError, Problem

Vectors = NDArray[np.float32]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]
Allowed = Mask | Ints | None

EXACT_ROWS = 20_000
"""Up to this many permitted items an exact scan costs less than 1 ms and finds everything."""

_REFINE = 1.25  # quantised scores are fetched for a quarter more items, then computed again from the vectors
_REFINE_BLOCK = 128
_NOTHING = np.float32(-np.inf)


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

    quantised: ClassVar[bool] = False

    def __init__(self, vectors: Vectors, rows: Ints, encoder: str):
        self.vectors, self.rows, self.encoder = vectors, rows, encoder

    @property
    def dimensions(self) -> int:
        return int(self.vectors.shape[1])

    def __len__(self) -> int:
        return len(self.rows)

    def search(self, queries: Vectors, k: int, allowed: Allowed = None, *, encoder: str) -> Found:
        """See `VectorIndex.search`."""
        check_encoder(encoder, self.encoder)
        check_vectors(queries, self.dimensions)
        return self.find(queries, k, None if allowed is None else permitted(allowed, self.rows))

    def find(self, queries: Vectors, k: int, kept: Mask | None) -> Found:
        """`search` after its checks; `kept` is bool [I] by position."""
        count = len(self) if kept is None else int(np.count_nonzero(kept))
        k_here = min(k, count)
        if not k_here or not len(queries):
            return nothing(len(queries), k)
        if kept is not None and count <= EXACT_ROWS:
            positions, scores = scan(self.vectors, queries, k_here, np.flatnonzero(kept))
        else:
            fetch = min(count, int(k_here * _REFINE)) if self.quantised else k_here
            positions, scores = self._near(queries, fetch, kept, share=count / len(self))
            if self.quantised:
                positions, scores = refine(self.vectors, queries, positions)
        rows = np.where(positions < 0, -1, self.rows[positions])
        return padded(rows[:, :k_here], scores[:, :k_here], k)

    @abstractmethod
    def _near(self, queries: Vectors, k: int, kept: Mask | None, *, share: float) -> tuple[Ints, Vectors]:
        """Positions int64 [Q, k] (-1 pads) and scores; `share` is the part of positions that is kept."""

    def save(self, folder: Path) -> None:
        """Writes the index into a new folder."""
        folder.mkdir(parents=True)
        np.save(folder / "vectors.npy", np.ascontiguousarray(self.vectors))
        np.save(folder / "rows.npy", self.rows)
        facts = {
            "kind": type(self).__name__,
            "encoder": self.encoder,
            "items": len(self),
            "dimensions": self.dimensions,
        }
        (folder / "index.json").write_text(json.dumps(facts))


def scan(vectors: Vectors, queries: Vectors, k: int, positions: Ints | None = None) -> tuple[Ints, Vectors]:
    """The exact k best of some or all positions: int64 [Q, k] and float32 [Q, k]."""
    chosen = vectors if positions is None else vectors[positions]
    scores, found = faiss.knn(queries, chosen, k, metric=faiss.METRIC_INNER_PRODUCT)
    return (found if positions is None else positions[found]), scores


def scan_masked(vectors: Vectors, queries: Vectors, k: int, kept: Mask) -> tuple[Ints, Vectors]:
    """`scan` of the kept positions by scoring all of them; k is at most the number kept."""
    positions = np.empty((len(queries), k), np.int64)
    scores = np.empty((len(queries), k), np.float32)
    at = np.flatnonzero(kept)
    for i, query in enumerate(queries):
        line = (vectors @ query)[at]
        best = np.argpartition(line, len(line) - k)[len(line) - k :]
        best = best[np.argsort(-line[best], kind="stable")]
        positions[i], scores[i] = at[best], line[best]
    return positions, scores


def refine(vectors: Vectors, queries: Vectors, positions: Ints) -> tuple[Ints, Vectors]:
    """The positions ordered by their exact scores; -1 last."""
    scores = np.empty(positions.shape, np.float32)
    for start in range(0, len(queries), _REFINE_BLOCK):
        block = slice(start, start + _REFINE_BLOCK)
        scores[block] = np.matmul(vectors[positions[block]], queries[block, :, None])[:, :, 0]
    scores[positions < 0] = _NOTHING
    order = np.argsort(-scores, axis=1, kind="stable")
    return np.take_along_axis(positions, order, axis=1), np.take_along_axis(scores, order, axis=1)


def permitted(allowed: Mask | Ints, rows: Ints) -> Mask:
    """Which of `rows`, int64 [n], are allowed: bool [n]."""
    if allowed.dtype != np.bool_:
        mask: Mask = np.zeros(max(int(rows.max(initial=-1)), int(allowed.max(initial=-1))) + 1, np.bool_)
        mask[allowed[allowed >= 0]] = True
        return mask[rows]
    flags: Mask = allowed.astype(np.bool_, copy=False)
    if len(flags) > rows.max(initial=-1):
        return flags[rows]
    inside: Mask = rows < len(flags)
    return inside & flags[np.where(inside, rows, 0)] if len(flags) else inside


def padded(rows: Ints, scores: Vectors, k: int) -> Found:
    """Lists of any length as lists of k."""
    short = k - rows.shape[1]
    rows = np.pad(rows.astype(np.int64, copy=False), ((0, 0), (0, short)), constant_values=-1) if short else rows
    scores = np.pad(scores, ((0, 0), (0, short)), constant_values=_NOTHING) if short else scores
    return Found(rows, np.where(rows < 0, _NOTHING, scores))


def check_items(vectors: Vectors, rows: Ints) -> None:
    """Refuses vectors that do not belong to distinct rows one by one."""
    check_vectors(vectors, vectors.shape[-1])
    distinct = len(np.unique(rows))
    if not len(rows) == len(vectors) == distinct:
        what = f"{len(vectors)} vectors for {distinct} distinct rows"
        raise InputError(Problem("vector-shape", what, fix="give one vector for each row, each row once"))


def nothing(queries: int, k: int) -> Found:
    """Empty lists."""
    return Found(np.full((queries, k), -1, np.int64), np.full((queries, k), _NOTHING))


def check_encoder(given: str, expected: str) -> None:
    """Refuses vectors of one encoder version for the index of another."""
    if given != expected:
        raise Conflict(
            Problem(
                "encoder-differs", f"vectors of encoder {given} meet an index of encoder {expected}",
                why="distances between vectors of different encoders mean nothing",
                fix="build the index and encode the queries from the same release",
            )
        )  # fmt: skip


def check_vectors(vectors: Vectors, dimensions: int) -> None:
    """Refuses anything but finite float32 [n, `dimensions`]."""
    if vectors.ndim != 2 or vectors.shape[1] != dimensions or vectors.dtype != np.float32:
        what = f"vectors are {vectors.dtype} {list(vectors.shape)}, expected float32 [n, {dimensions}]"
        raise InputError(Problem("vector-shape", what, fix="pass one row of float32 per vector"))
    if not np.isfinite(vectors).all():
        bad = int(np.flatnonzero(~np.isfinite(vectors).all(axis=1))[0])
        fix = "check the encoder: its input or its weights are not finite"
        raise InputError(Problem("vector-not-finite", "a vector is NaN or infinite", f"vector {bad}", fix=fix))
