"""Domain rows as the ids of a model: those seen often enough get one of their own, the rest share."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from winnow.features.batch import Ints
from winnow.models.hashing import keys, places


@dataclass(frozen=True)
class Hashing:
    """Where the ids go that are too rare for a row of their own, and those that come later.

    Each is the sum of several shared rows, chosen by as many hashes: two ids that share one differ in another. New
    ids so begin as what rare ids have taught.

    Args:
        bits: 2^bits shared rows for each feature.
        hashes: rows summed for an id.

    Source: Svenstrup, Hansen and Winther, NeurIPS 2017.
    """

    bits: int = 14
    hashes: int = 2


@dataclass(frozen=True)
class Vocabulary:
    """Domain rows seen often enough in training → 1..n; everything else → 0, or to shared ids where there is hashing.

    Args:
        table: own id of domain row r at r + 1, int64; the first entry stands for missing.
        hashing: of the domain rows that have no id of their own.
    """

    table: Ints
    hashing: Hashing | None = None

    @classmethod
    def fit(cls, *columns: Ints, least: int = 1, hashing: Hashing | None = None) -> Self:
        """From every domain row in the columns that occurs at least `least` times; hashing is for when some do not."""
        seen = np.concatenate([c[c >= 0].ravel() for c in columns])
        counts = np.bincount(seen) if len(seen) else np.zeros(0, np.int64)
        table = np.zeros(len(counts) + 1, np.int64)
        kept = np.flatnonzero(counts >= max(least, 1))
        table[kept + 1] = np.arange(1, len(kept) + 1)
        return cls(table, hashing if len(kept) < np.count_nonzero(counts) else None)

    def __len__(self) -> int:
        """How many ids, the 0 included."""
        return self._own + (1 << self.hashing.bits if self.hashing else 0)

    @property
    def _own(self) -> int:
        return int(self.table.max(initial=0)) + 1

    def apply(self, rows: Ints) -> Ints:
        """Own ids, same shape; with hashing one more axis, of as many ids as there are hashes."""
        known = (rows >= 0) & (rows < len(self.table) - 1)
        own = self.table[np.where(known, rows + 1, 0)]
        return own if self.hashing is None else self._hashed(rows, own, self.hashing)

    def _hashed(self, rows: Ints, own: Ints, hashing: Hashing) -> Ints:
        """An id of its own as often as there are hashes, so that all sums are of as many rows."""
        out = np.repeat(own[..., None], hashing.hashes, axis=-1)
        lost = (own == 0) & (rows >= 0)
        shared = [self._own + places(keys(rows[lost], salt), hashing.bits) for salt in range(hashing.hashes)]
        out[lost] = np.stack(shared, axis=-1)
        return out
