"""A pair of row numbers becomes one row number: a hash index in shared memory, looked up by columns.

Open addressing by buckets of eight keys, one cache line each, at most half full: nearly every look-up reads one bucket.
A slot is written before its key, and its tables are empty until they are published, so a reader that meets a new
pair half-way sees what it would have seen before. Evicting makes a second hash table beside the one in use, without
the pairs that go; publishing turns to it.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from winnow.features.batch import Ints
from winnow.features.live.files import Write, mapped
from winnow.features.live.groups import sorted_by
from winnow.features.state import NEVER
from winnow.features.timeline import distinct

_WIDTH = 8
_HEAD = 8  # cells before all else; the first counts the slots ever given out, the second says which hash table is used
_MIX = np.uint64(0x9E3779B97F4A7C15)
_PAGE_BITS = 12
_NO_PAIR = -1  # never a key
_BLOCK = 1 << 14  # pairs looked up together: their buckets fit in the cache
_LEAST_SHARE = 8  # an eviction frees at least this share of the slots


class PairIndex:
    """Slots 0..cap-1 for pairs of row numbers below 2**31, and the own time of the latest event of each.

    Args:
        path: the file.
        cap: the most pairs that get a slot.
        name: what its writes call it.
    """

    def __init__(self, path: Path, cap: int, *, name: str = ""):
        self.name, self.cap = name, cap
        self._bits = max((2 * cap // _WIDTH - 1).bit_length(), 1)
        cells = _WIDTH << self._bits
        words = mapped(path, self.cells(cap))
        self._head, words = words[:_HEAD], words[_HEAD:]
        self._pairs, self._last, words = words[:cap], words[cap : 2 * cap], words[2 * cap :]
        self._sides = [words[i : i + 2 * cells].reshape(-1, 2 * _WIDTH) for i in (0, 2 * cells)]  # keys, then slots
        self._given_back: Ints | None = None

    @staticmethod
    def cells(cap: int) -> int:
        """The size of the file."""
        return _HEAD + 2 * cap + 4 * (_WIDTH << max((2 * cap // _WIDTH - 1).bit_length(), 1))

    @staticmethod
    def bytes(cap: int, pairs: int) -> int:
        """Memory that an index takes once so many pairs have come: of the hash table the pages that they fall on."""
        pages = max(((PairIndex.cells(cap) - _HEAD - 2 * cap) * 8 // 2) >> _PAGE_BITS, 1)
        sides = 1 + (pairs >= cap)  # the second comes with the first eviction
        touched = pages * -np.expm1(-pairs / pages) * sides
        return int(touched * (1 << _PAGE_BITS)) + 16 * pairs

    @property
    def used(self) -> int:
        """How many pairs have a slot; asked by the writer, or by who can wait for a count."""
        return int(np.count_nonzero(self._pairs[: self._head[0]]))

    @property
    def room(self) -> int:
        """How many more pairs fit."""
        return self.cap - int(self._head[0]) + len(self._spare)

    @property
    def _spare(self) -> Ints:
        """Slots that were given back."""
        if self._given_back is None:
            self._given_back = np.flatnonzero(self._pairs[: self._head[0]] == 0)
        return self._given_back

    def pairs(self, slots: Ints) -> tuple[Ints, Ints]:
        """The pairs that have these slots; -1 for a slot that is free."""
        packed = self._pairs[slots]
        return (packed >> 32) - 1, (packed & 0xFFFFFFFF) - 1

    def slots(self) -> Ints:
        """The slots in use."""
        return np.flatnonzero(self._pairs[: self._head[0]])

    def find(self, first: Ints, second: Ints) -> Ints:
        """The slot of each pair, int64 [n]; -1 for a pair without one."""
        wanted = packed(first, second)
        wanted[(first < 0) | (second < 0)] = _NO_PAIR
        return self._find(wanted)

    def new(self, first: Ints, second: Ints) -> tuple[Ints, Ints]:
        """The slot of each pair, -1 where it has none; and the different pairs without one, packed."""
        wanted = packed(first, second)
        slots = self._find(wanted)
        return slots, distinct(wanted[slots < 0])

    def claim(self, first: Ints, second: Ints) -> Ints:
        """The slot of each pair, given out when it is new; -1 where the index is at its cap."""
        return self.enter(first, second, *self.new(first, second))

    def enter(self, first: Ints, second: Ints, slots: Ints, new: Ints) -> Ints:
        """As `claim`, of what `new` has found."""
        if len(new):
            given, room = np.full(len(new), -1), self.room
            given[:room] = self._insert_new(new[:room])
            lost = np.flatnonzero(slots < 0)
            slots[lost] = given[np.searchsorted(new, packed(first[lost], second[lost]))]
        return slots

    def last(self, slots: Ints) -> Ints:
        """The own time of the latest event of each slot, NEVER for none."""
        return self._last[slots] ^ NEVER

    def seen(self, slots: Ints, at: Ints) -> Write:
        """The write that tells of events: the latest of each slot stays."""
        return Latest(self.name, slots, self._last, slots, at)

    def without(self, slots: Ints) -> list[Write]:
        """The writes that take pairs out. Until they are published, and `give_back` said, nothing may be claimed."""
        kept = np.ones(int(self._head[0]), bool)
        kept[slots] = False
        kept &= self._pairs[: len(kept)] != 0
        other = 1 - int(self._head[1])
        self._sides[other][:] = 0
        left = np.flatnonzero(kept)
        self._insert(self._pairs[left], left, other)
        nothing, place = np.zeros(len(slots), np.int64), np.array([1])
        return [
            Write(self.name, slots, self._pairs, slots, nothing),
            Write(self.name, slots, self._last, slots, nothing),
            Write(self.name, slots[:0], self._head, place, np.array([other])),
        ]

    def give_back(self, slots: Ints) -> None:
        """Slots that pairs have left, to be given out again."""
        if self._given_back is not None:
            self._given_back = np.concatenate([self._given_back, slots])

    def mend(self) -> None:
        """Frees slots that a writer took for pairs which it did not live to enter."""
        slots = self.slots()
        lost = slots[self._find(self._pairs[slots]) != slots]
        self._pairs[lost] = 0
        self._given_back = None

    def _find(self, wanted: Ints) -> Ints:
        if len(wanted) <= _BLOCK:
            return self._found(wanted)
        return np.concatenate([self._found(wanted[i : i + _BLOCK]) for i in range(0, len(wanted), _BLOCK)])

    def _found(self, wanted: Ints) -> Ints:
        side = self._sides[int(self._head[1])]
        bucket = self._bucket(wanted)
        found = side.take(bucket, axis=0)
        hit = np.flatnonzero(found[:, :_WIDTH] == wanted[:, None])
        row = hit >> 3
        slots = np.full(len(wanted), -1)
        slots[row] = found.take(hit + (row + 1) * _WIDTH)
        full = found[:, _WIDTH - 1] != 0
        full[row] = False
        open_ = np.flatnonzero(full)
        while len(open_):  # the bucket is full without it: look in the next
            bucket[open_] = (bucket[open_] + 1) & (len(side) - 1)
            found = side.take(bucket[open_], axis=0)
            row, column = np.nonzero(found[:, :_WIDTH] == wanted[open_, None])
            slots[open_[row]] = found[row, column + _WIDTH]
            open_ = open_[(slots[open_] < 0) & (found[:, _WIDTH - 1] != 0)]
        return slots

    def _insert_new(self, new: Ints) -> Ints:
        """Enters new pairs, for which there is room; their slots."""
        spare, start = self._spare, int(self._head[0])
        again = spare[: len(new)]
        slots = np.concatenate([again, start + np.arange(len(new) - len(again))])
        self._given_back = spare[len(again) :]
        self._head[0] = start + len(new) - len(again)
        self._pairs[slots] = new
        self._insert(new, slots, int(self._head[1]))
        return slots

    def _insert(self, new: Ints, slot: Ints, side: int) -> None:
        """Enters new, different pairs; each goes to the first bucket from its own that has room."""
        for i in range(0, len(new), _BLOCK):
            self._insert_block(new[i : i + _BLOCK], slot[i : i + _BLOCK], self._sides[side])

    def _insert_block(self, new: Ints, slot: Ints, cells: Ints) -> None:
        bucket = self._bucket(new)
        while len(new):
            bucket, order = sorted_by(bucket)
            new, slot = new[order], slot[order]
            held = np.count_nonzero(cells[bucket, :_WIDTH], axis=1)
            place = held + np.arange(len(bucket)) - np.searchsorted(bucket, bucket)
            fits = place < _WIDTH
            cells[bucket[fits], place[fits] + _WIDTH] = slot[fits]
            cells[bucket[fits], place[fits]] = new[fits]
            new, slot = new[~fits], slot[~fits]
            bucket = (bucket[~fits] + 1) & (len(cells) - 1)

    def _bucket(self, wanted: Ints) -> Ints:
        return ((wanted.view(np.uint64) * _MIX) >> np.uint64(64 - self._bits)).view(np.int64)


class Latest(Write):
    """A write of times that keeps the larger of old and new; one slot may come several times."""

    def publish(self) -> None:
        times: NDArray[np.uint64] = self.cells.view(np.uint64)
        np.maximum.at(times, self.index, np.asarray(self.values ^ NEVER).view(np.uint64))


def packed(first: Ints, second: Ints) -> Ints:
    """A pair as one number, 0 for none."""
    return np.asarray(((first + 1) << 32) | (second + 1))


def oldest(index: PairIndex, count: int, *, useless: NDArray[np.bool_], busy: Ints) -> Ints:
    """The slots to give up: all that hold nothing that counts, and as needed those whose last event is oldest.

    Args:
        index: the index.
        count: how many are needed; an eighth of the cap goes at least, so that it is done seldom.
        useless: per slot in use, whether nothing of it can count any more.
        busy: slots that must stay.

    Returns:
        int64 [v]; fewer than `count` when too many are busy.
    """
    slots = index.slots()
    free = ~np.isin(slots, busy)
    slots, useless = slots[free], useless[free]
    order = np.lexsort((index.last(slots), ~useless))
    return slots[order[: max(count, index.cap // _LEAST_SHARE, int(useless.sum()))]]
