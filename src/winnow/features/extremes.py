"""Largest values of stretches, and sums or maxima of what lies below one rank and not below another."""

import numpy as np

from winnow.features.batch import Ints
from winnow.features.state import NEVER
from winnow.features.timeline import Timeline, distinct, find

_BLOCK = 32


class RangeMax:
    """The largest value of any stretch of an array, in a few gathers.

    Blocks of 32 hold running maxima from both ends; a sparse table (Bender and Farach-Colton, 2000) covers whole
    blocks in between.

    Args:
        values: int64 [e].
    """

    def __init__(self, values: Ints):
        padded = np.full((len(values) // _BLOCK + 1, _BLOCK), NEVER)
        padded.ravel()[: len(values)] = values
        self._values = padded.ravel()
        self._from_left = np.maximum.accumulate(padded, axis=1).ravel()
        self._to_right = np.maximum.accumulate(padded[:, ::-1], axis=1)[:, ::-1].ravel()
        self._levels = [self._from_left[_BLOCK - 1 :: _BLOCK].copy()]
        while (width := 1 << (len(self._levels) - 1)) * 2 <= len(padded):
            below = self._levels[-1]
            self._levels.append(np.maximum(below[:-width], below[width:]))

    def over(self, start: Ints, stop: Ints) -> Ints:
        """The largest of the values start..stop-1, int64 [n]; NEVER of none."""
        found = np.full(len(start), NEVER)
        first, last = start // _BLOCK, (stop - 1) // _BLOCK
        near, far = np.flatnonzero((first == last) & (start < stop)), np.flatnonzero(first < last)
        index = start[near, None] + np.arange(_BLOCK)
        inside = np.where(index < stop[near, None], self._values[np.minimum(index, len(self._values) - 1)], NEVER)
        found[near] = inside.max(axis=1, initial=NEVER)
        ends = np.maximum(self._to_right[start[far]], self._from_left[stop[far] - 1])
        found[far] = np.maximum(ends, self._blocks(first[far] + 1, last[far]))
        return found

    def _blocks(self, start: Ints, stop: Ints) -> Ints:
        """The largest value of whole blocks."""
        found = np.full(len(start), NEVER)
        level = np.frexp(stop - start)[1] - 1  # of the largest power of two that fits; -1 for no block
        for number, largest in enumerate(self._levels):
            asked = np.flatnonzero(level == number)
            last = stop[asked] - (1 << number)
            found[asked] = np.maximum(largest[start[asked]], largest[last])
        return found


class Dominance:
    """Things of many keys with two ranks each: what those come to that lie below `known` and not below `own`.

    The things before a position fall into at most one block of each power of two; in a block sorted by the second
    rank, those not below a bound are its end (a merge sort tree). Only blocks that are asked for are sorted.

    Args:
        codes: key of each thing, int64 [m].
        known: its first rank, int64 [m].
        own: its second rank, int64 [m].
        values: what it adds, or is, int64 [m].
        size: ranks are below.
        join: np.add or np.maximum.
    """

    def __init__(self, codes: Ints, known: Ints, own: Ints, values: Ints, *, size: int, join: np.ufunc):
        self._known, self._own = Timeline(codes, known, size=size), Timeline(codes, own, size=size)
        first, second = (np.argsort(line.pack(codes, r)) for line, r in ((self._known, known), (self._own, own)))
        place = np.empty(len(codes), np.int64)
        place[second] = np.arange(len(codes))
        self._ranks = place[first]  # by position in the first order, the position in the second
        self._values = values[second]
        self._join, self._empty = join, 0 if join is np.add else NEVER

    def of(self, codes: Ints, known: Ints, own: Ints) -> Ints:
        """What they come to for each key and pair of bounds, int64 [n]; 0, or NEVER, for nothing."""
        start, stop, low = self._known.before(codes, 0), self._known.before(codes, known), self._own.before(codes, own)
        found = np.full(len(codes), self._empty)
        width = 1
        while width <= stop.max(initial=0):
            last = stop & width  # not 0: a block of this width ends the positions before `stop`
            asked = np.flatnonzero((last > 0) & (stop > start))
            found[asked] = self._join(found[asked], self._among(width, stop[asked] // width - 1, low[asked]))
            stop = stop - last
            width *= 2
        return found

    def _among(self, width: int, block: Ints, low: Ints) -> Ints:
        """What those in blocks come to whose second rank is not below a bound."""
        if not len(block):
            return block
        asked = distinct(block)
        ranks = np.sort(self._ranks[asked[:, None] * width + np.arange(width)], axis=1)
        reach = self._join.accumulate(self._values[ranks][:, ::-1], axis=1)[:, ::-1].ravel()
        step, row = len(self._ranks) + 1, find(asked, block)
        place = find((np.arange(len(asked))[:, None] * step + ranks).ravel(), row * step + low)
        inside = place < (row + 1) * width
        return np.where(inside, reach[np.minimum(place, len(reach) - 1)], self._empty)
