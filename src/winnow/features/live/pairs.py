"""A pair of row numbers becomes one row number: a hash index in shared memory, looked up by columns.

Open addressing by buckets of eight keys, one cache line each, at most half full: nearly every look-up reads one bucket.
A slot is written before its key, and its tables are empty until they are published, so a reader that meets a new
pair half-way sees what it would have seen before.
"""

from pathlib import Path

import numpy as np

from winnow.features.batch import Ints
from winnow.features.live.files import mapped
from winnow.features.timeline import distinct

_WIDTH = 8
_HEAD = 8  # cells before the buckets; the first counts the slots given out
_MIX = np.uint64(0x9E3779B97F4A7C15)


class PairIndex:
    """Slots 0..cap-1 for pairs of row numbers below 2**31.

    Args:
        path: the file.
        cap: the most pairs that get a slot.
    """

    def __init__(self, path: Path, cap: int):
        self.cap = cap
        self._bits = max((2 * cap // _WIDTH - 1).bit_length(), 1)
        cells = _WIDTH << self._bits
        words = mapped(path, _HEAD + 2 * cells)
        self._head = words[:_HEAD]
        self._keys = words[_HEAD : _HEAD + cells].reshape(-1, _WIDTH)
        self._slots = words[_HEAD + cells :].reshape(-1, _WIDTH)

    @property
    def used(self) -> int:
        """How many slots are given out."""
        return int(self._head[0])

    def find(self, first: Ints, second: Ints) -> Ints:
        """The slot of each pair, int64 [n]; -1 for a pair without one."""
        return self._find(np.where((first >= 0) & (second >= 0), _packed(first, second), 0))

    def claim(self, first: Ints, second: Ints) -> Ints:
        """The slot of each pair, given out when it is new; -1 where the index is at its cap."""
        packed = _packed(first, second)
        slots = self._find(packed)
        new = distinct(packed[slots < 0])
        if len(new):
            self._insert(new[: self.cap - self.used])
            slots = self._find(packed)
        return slots

    def _find(self, packed: Ints) -> Ints:
        bucket = self._bucket(packed)
        hit = self._keys.take(bucket, axis=0) == packed[:, None]
        place = hit.argmax(axis=1)
        slots: Ints = self._slots.take(bucket * _WIDTH + place)
        slots[~hit.any(axis=1)] = -1
        open_ = np.flatnonzero((slots < 0) & (packed > 0) & (self._keys[bucket, _WIDTH - 1] != 0))
        while len(open_):  # the bucket is full without it: look in the next
            bucket[open_] = (bucket[open_] + 1) & (len(self._keys) - 1)
            row, column = np.nonzero(self._keys[bucket[open_]] == packed[open_, None])
            slots[open_[row]] = self._slots[bucket[open_[row]], column]
            open_ = open_[(slots[open_] < 0) & (self._keys[bucket[open_], _WIDTH - 1] != 0)]
        slots[packed == 0] = -1
        return slots

    def _insert(self, packed: Ints) -> None:
        """Enters new, different pairs; each goes to the first bucket from its own that has room."""
        slot = self.used + np.arange(len(packed))
        self._head[0] += len(packed)
        bucket = self._bucket(packed)
        while len(packed):
            order = np.argsort(bucket, kind="stable")
            packed, slot, bucket = packed[order], slot[order], bucket[order]
            place = (self._keys[bucket] != 0).sum(axis=1) + np.arange(len(bucket)) - np.searchsorted(bucket, bucket)
            fits = place < _WIDTH
            self._slots[bucket[fits], place[fits]] = slot[fits]
            self._keys[bucket[fits], place[fits]] = packed[fits]
            packed, slot = packed[~fits], slot[~fits]
            bucket = (bucket[~fits] + 1) & (len(self._keys) - 1)

    def _bucket(self, packed: Ints) -> Ints:
        return ((packed.view(np.uint64) * _MIX) >> np.uint64(64 - self._bits)).view(np.int64)


def _packed(first: Ints, second: Ints) -> Ints:
    return np.asarray(((first + 1) << 32) | (second + 1))
