"""Sorted composite keys: everything of one key lies together in the order of time, so a count is two binary searches.

A composite packs (key, place) into one int64, where a place is a position in the order in which things became known.
Counting what key k had seen before place p is then the position of (k, p) minus the position of (k, 0).
"""

from functools import cached_property

import numpy as np

from winnow.features.batch import Ints
from winnow.features.state import NEVER


def find(ordered: Ints, wanted: Ints) -> Ints:
    """`searchsorted` by sorted queries: several times faster than random ones on large arrays. int64 [n]."""
    if len(wanted) < 1000:
        return np.searchsorted(ordered, wanted)
    order = np.argsort(wanted)
    found = np.empty(len(wanted), np.int64)
    found[order] = np.searchsorted(ordered, wanted[order])
    return found


def distinct(values: Ints) -> Ints:
    """The different values, sorted: by a sort, which is faster here than the hashing of `np.unique`."""
    ordered = np.sort(values)
    return ordered[np.concatenate([[True], ordered[1:] != ordered[:-1]])] if len(values) else ordered


def by_time(known_at: Ints, seq: Ints) -> Ints:
    """The order in which things became known; ties by log order. int64 [n]."""
    if (np.diff(known_at) > 0).all() or ((np.diff(known_at) >= 0).all() and (np.diff(seq) > 0).all()):
        return np.arange(len(seq))
    return np.lexsort((seq, known_at))


class Places:
    """Moments as places: how many things were known before.

    Args:
        known_at: int64 [n], ascending.
        seq: int64 [n], ascending where `known_at` is equal.
    """

    def __init__(self, known_at: Ints, seq: Ints):
        self.known_at = known_at
        self.size = len(known_at)
        self._seq = seq
        self._step = int(seq.max(initial=0)) + 2

    def at(self, moments: Ints) -> Ints:
        """How many were known strictly before each moment."""
        return find(self.known_at, moments)

    def of(self, known_at: Ints, seq: Ints) -> Ints:
        """How many stand before each (known_at, seq) of the log."""
        moments, log = self._ranked
        moment = find(moments, known_at)
        tie = np.append(moments, NEVER)[moment] == known_at
        return find(log, moment * self._step + np.where(tie, np.minimum(seq, self._step - 1), 0))

    @cached_property
    def _ranked(self) -> tuple[Ints, Ints]:
        """The different moments, and each (known_at, seq) as one number that sorts like it."""
        moments, moment = np.unique(self.known_at, return_inverse=True)
        return moments, moment * self._step + self._seq


class Codes:
    """Keys, or pairs of keys, as codes 0..n-1.

    Args:
        keys: one or two int64 [e], none negative.
    """

    def __init__(self, keys: tuple[Ints, ...]):
        self._widths = [int(k.max(initial=-1)) + 1 for k in keys]
        packed = self._pack(keys)
        self.known: Ints | None = None
        self.size = self._widths[0]
        if len(keys) > 1:
            self.known = distinct(packed)
            packed, self.size = find(self.known, packed), len(self.known)
        self.codes = packed

    def encode(self, keys: tuple[Ints, ...]) -> Ints:
        """The code of each key, int64 [n]; -1 for a key that is missing or was never seen."""
        seen = np.logical_and.reduce([(k >= 0) & (k < w) for k, w in zip(keys, self._widths, strict=True)])
        packed = self._pack(keys)
        if self.known is not None and seen.any():
            found = find(self.known, np.where(seen, packed, 0))
            found = np.minimum(found, self.size - 1)
            seen, packed = seen & (self.known[found] == packed), found
        return np.where(seen, packed, -1)

    def _pack(self, keys: tuple[Ints, ...]) -> Ints:
        return keys[0] if len(keys) == 1 else keys[0] * self._widths[1] + keys[1]


class Timeline:
    """Things of many keys, each key's own in a given order.

    Args:
        codes: key of each thing, int64 [e], 0..n_codes-1.
        places: its place in the order, int64 [e], 0..size-1.
        n_codes: how many keys there are.
        size: how many places there are.
    """

    def __init__(self, codes: Ints, places: Ints, *, n_codes: int, size: int):
        self._step = size + 1
        packed = codes * self._step + places
        if (np.diff(packed) < 0).any():
            packed, self.order = _sorted(packed)
        else:
            self.order = np.arange(len(packed))
        self._packed: Ints = packed
        self.starts: Ints = np.searchsorted(packed, np.arange(n_codes + 1) * self._step)

    def before(self, codes: Ints, places: Ints) -> Ints:
        """Where each (code, place) would stand among all things, int64 [n]; codes must be known."""
        return find(self._packed, codes * self._step + places)


def _sorted(packed: Ints) -> tuple[Ints, Ints]:
    """Sorted values and their order, stable; packs the position in the low bits when it fits, which sorts faster."""
    bits = max(len(packed) - 1, 1).bit_length()
    if int(packed.max()) >> (62 - bits):
        order = np.argsort(packed, kind="stable")
        return packed[order], order
    both = np.sort((packed << bits) | np.arange(len(packed)))
    return both >> bits, both & ((1 << bits) - 1)


def ragged(counts: Ints) -> tuple[Ints, Ints]:
    """Each index i repeated counts[i] times, and the running number within each repeat.

    >>> [a.tolist() for a in ragged(np.array([2, 0, 1]))]
    [[0, 0, 2], [0, 1, 0]]
    """
    index = np.repeat(np.arange(len(counts)), counts)
    return index, np.arange(len(index)) - np.repeat(np.cumsum(counts) - counts, counts)
