"""Items that the same people watched: item-to-item neighbours from event sequences."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from winnow.core.time import to_us

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]

_LEAST_WEIGHT = 1e-4  # of an event long ago
_BLOCK = 2_048  # items whose neighbours are computed together


@dataclass(frozen=True)
class Neighbours:
    """The m best neighbours of each of I items.

    Args:
        rows: int32 [I, m], best first; -1 pads.
        scores: float32 [I, m]; 0 where padded.
    """

    rows: NDArray[np.int32]
    scores: Floats

    def of(self, seeds: Ints, k: int, weight: Floats | None = None) -> tuple[Ints, Floats]:
        """The at most k items that are nearest to several seeds together, without the seeds.

        Args:
            seeds: item rows, int64 [s]; rows that are negative or newer than the table are left out.
            k: length of the list.
            weight: of each seed, float32 [s], such as more for the newest; all 1 when left out.

        Returns:
            Rows int64 [≤ k], best first, and their summed scores float32.
        """
        known = (seeds >= 0) & (seeds < len(self.rows))
        own = np.ones(len(seeds), np.float32) if weight is None else weight
        near, score = self.rows[seeds[known]], self.scores[seeds[known]] * own[known, None]
        rows, where = np.unique(near, return_inverse=True)
        total = np.bincount(where.ravel(), score.ravel(), len(rows))
        total[(rows < 0) | np.isin(rows, seeds)] = 0
        best = np.argsort(-total, kind="stable")[:k]
        best = best[total[best] > 0]
        return rows[best].astype(np.int64), total[best].astype(np.float32)

    def save(self, path: Path) -> None:
        """Writes one `.npz` file."""
        np.savez(path, rows=self.rows, scores=self.scores)

    @classmethod
    def open(cls, path: Path) -> "Neighbours":
        """From the file that `save` wrote."""
        with np.load(path) as arrays:
            return cls(arrays["rows"], arrays["scores"])


def neighbours(
    users: Ints, items: Ints, at: Ints, *, before: int, half_life: timedelta, size: int, top: int = 50,
    last: int = 100, shrink: float = 5.0,
) -> Neighbours:  # fmt: skip
    """Neighbours by co-watching, as of a moment.

    score(i, j) = Σ_u w_ui w_uj / √(Σ_u w_ui² · Σ_u w_uj²) · n_ij / (n_ij + shrink), where n_ij counts the people who
    watched both and w = 2^(−age / half-life), at least 1e-4, with ages counted from the newest event.

    Args:
        users: user rows of the events, int64 [n].
        items: item rows, int64 [n]; -1 is left out.
        at: moments in microseconds UTC, int64 [n].
        before: only events with at < before count.
        half_life: after which an event counts half.
        size: number of item rows, I.
        top: neighbours kept for each item, m.
        last: newest distinct items of a person that count; it bounds the work that very active people cause.
        shrink: pulls pairs that few people share towards 0.

    Source: Sarwar et al., Item-based collaborative filtering recommendation algorithms, WWW 2001; shrinkage as in Bell
    and Koren, Scalable collaborative filtering with jointly derived neighborhood interpolation weights, ICDM 2007.
    """
    seen = _matrix(users, items, at, before=before, half_life=half_life, size=size, last=last)
    rows, scores = np.full((size, top), -1, np.int32), np.zeros((size, top), np.float32)
    norms = np.sqrt(np.asarray(seen.multiply(seen).sum(axis=0)).ravel())
    scaled = (seen @ sparse.diags_array(1 / np.maximum(norms, 1e-12))).tocsr().astype(np.float32)
    ones = _pattern(seen)
    by_item, ones_by_item = scaled.T.tocsr(), ones.T.tocsr()
    for start in range(0, size, _BLOCK):
        block = slice(start, min(start + _BLOCK, size))
        cosine, both = (by_item[block] @ scaled).tocsr(), (ones_by_item[block] @ ones).tocsr()
        cosine.sort_indices()
        both.sort_indices()
        cosine.data *= both.data / (both.data + shrink)
        _best(cosine, start, rows=rows[block], scores=scores[block])
    return Neighbours(rows, scores)


def _matrix(
    users: Ints, items: Ints, at: Ints, *, before: int, half_life: timedelta, size: int, last: int
) -> sparse.csr_array:
    """People × items with faded weights: the newest event of a pair, the newest `last` pairs of a person."""
    use = (at < before) & (items >= 0) & (users >= 0)
    users, items, at = users[use], items[use], at[use]
    newest = np.lexsort((-at, items, users))
    users, items, at = users[newest], items[newest], at[newest]
    first = np.ones(len(users), np.bool_)
    first[1:] = (users[1:] != users[:-1]) | (items[1:] != items[:-1])
    users, items, at = users[first], items[first], at[first]
    order = np.lexsort((-at, users))
    users, items, at = users[order], items[order], at[order]
    keep = _place(users) < last
    users, items, at = users[keep], items[keep], at[keep]
    # From the newest event on, so that an old log is not forgotten as a whole; the floor keeps every product above 0.
    weight = np.maximum(np.exp2((at - at.max(initial=0)) / to_us(half_life)), _LEAST_WEIGHT).astype(np.float32)
    return sparse.csr_array((weight, (users, items)), shape=(int(users.max(initial=-1)) + 1, size))


def _pattern(matrix: sparse.csr_array) -> sparse.csr_array:
    return sparse.csr_array((np.ones_like(matrix.data), matrix.indices, matrix.indptr), shape=matrix.shape)


def _place(sorted_keys: Ints) -> Ints:
    """The place of each entry within its run of equal keys, from 0."""
    starts = np.flatnonzero(np.append(True, sorted_keys[1:] != sorted_keys[:-1])) if len(sorted_keys) else sorted_keys
    lengths = np.diff(np.append(starts, len(sorted_keys)))
    return np.arange(len(sorted_keys)) - np.repeat(starts, lengths)


def _best(similar: sparse.csr_array, start: int, *, rows: NDArray[np.int32], scores: Floats) -> None:
    """Writes the best entries of each line of `similar` into `rows` and `scores`, leaving the item itself out."""
    line = np.repeat(np.arange(similar.shape[0]), np.diff(similar.indptr))
    other = similar.indices != line + start
    line, column, value = line[other], similar.indices[other], similar.data[other]
    order = np.lexsort((-value, line))
    line, column, value = line[order], column[order], value[order]
    place = _place(line)
    keep = (place < rows.shape[1]) & (value > 0)
    rows[line[keep], place[keep]], scores[line[keep], place[keep]] = column[keep], value[keep]
