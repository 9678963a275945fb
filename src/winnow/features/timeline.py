"""Sorted composite keys: everything of one key lies together in the order of time, so a count is two binary searches.

A composite packs (key, place) into one int64, where a place is a position in the order in which things became known.
Counting what key k had seen before place p is then the position of (k, p) minus the position of (k, 0).

Sorting bare int64 is what numpy does fastest by far, so nothing is ever carried along: key and place are read back
from the sorted composites. Long arrays are worked through in pieces that stay in the processor's cache.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from winnow.features.batch import Ints
from winnow.features.state import NEVER

PIECE = 1 << 16
_ROOM = 62  # bits of a composite
_CLOSE = 1024  # neighbouring queries that are searched for together


def pieces(size: int, step: int = PIECE) -> Iterator[slice]:
    """The stretches that an array is worked through in."""
    return (slice(start, min(start + step, size)) for start in range(0, size, step))


def ascending(values: Ints) -> bool:
    """Whether no value is below the one before."""
    return all(bool((values[p.start + 1 : p.stop + 1] >= values[p]).all()) for p in pieces(len(values) - 1))


def find(ordered: Ints, wanted: Ints) -> Ints:
    """`searchsorted` by sorted queries: many times faster than random ones on large arrays. int64 [n]."""
    if len(wanted) < _CLOSE:
        return np.searchsorted(ordered, wanted)
    if ascending(wanted):
        return _find_ascending(ordered, wanted)
    order = np.argsort(wanted)
    found = np.empty(len(wanted), np.int64)
    found[order] = _find_ascending(ordered, wanted[order])
    return found


def _find_ascending(ordered: Ints, wanted: Ints) -> Ints:
    """Queries that are close together are searched for in the short stretch in which they all lie."""
    found = np.empty(len(wanted), np.int64)
    first, last = (np.searchsorted(ordered, wanted[part]).tolist() for part in (slice(0, None, _CLOSE), [-1]))
    for part, low, high in zip(pieces(len(wanted), _CLOSE), first, [*first[1:], *last], strict=True):
        found[part] = np.searchsorted(ordered[low:high], wanted[part])
        found[part] += low
    return found


def among(values: Ints, ordered: Ints) -> NDArray[np.bool_]:
    """Which values are in a sorted array; bool [n]."""
    if not len(ordered):
        return np.zeros(len(values), bool)
    return np.equal(ordered[np.minimum(find(ordered, values), len(ordered) - 1)], values)


def distinct(values: Ints) -> Ints:
    """The different values, sorted: by a sort, which is faster here than the hashing of `np.unique`."""
    ordered = np.sort(values)
    return ordered[np.concatenate([[True], ordered[1:] != ordered[:-1]])] if len(values) else ordered


def by_time(known_at: Ints, seq: Ints) -> Ints | None:
    """The order in which things became known, ties by log order, int64 [n]; None when they are in it already."""
    for part in pieces(len(seq) - 1):  # in the cache
        after = slice(part.start + 1, part.stop + 1)
        later = known_at[after] > known_at[part]
        if not later.all() and not (later | ((known_at[after] == known_at[part]) & (seq[after] >= seq[part]))).all():
            return np.lexsort((seq, known_at))
    return None


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
    """Keys, or pairs of keys, as one number each that leaves room for a place in a composite.

    Args:
        keys: one or two int64 [e], none negative.
        size: places are below.
    """

    def __init__(self, keys: Sequence[Ints], size: int = 0):
        self._widths = [int(k.max(initial=-1)) + 1 for k in keys]
        codes = self._packed(keys)
        self._known: Ints | None = None
        if sum(w.bit_length() for w in self._widths) + size.bit_length() > _ROOM:
            self._known = distinct(codes)
            codes = find(self._known, codes)
        self._codes: Ints | None = codes

    def take(self) -> Ints:
        """The codes of the keys that it was made of, int64 [e]; given once, since they are as large as the data."""
        codes, self._codes = self._codes, None
        assert codes is not None
        return codes

    def encode(self, keys: Sequence[Ints]) -> Ints:
        """The code of each key, int64 [n]; -1 for a key that is missing or certainly never seen."""
        seen = np.logical_and.reduce([(k >= 0) & (k < w) for k, w in zip(keys, self._widths, strict=True)])
        packed = np.where(seen, self._packed(keys), -1)
        if self._known is None or not seen.any():
            return packed
        found = np.minimum(find(self._known, packed), len(self._known) - 1)
        return np.where(self._known[found] == packed, found, -1)

    def _packed(self, keys: Sequence[Ints]) -> Ints:
        return keys[0] if len(keys) == 1 else keys[0] * self._widths[1] + keys[1]


class Timeline:
    """Things of many keys, sorted by (key, place).

    Args:
        codes: key of each thing, int64 [e], none negative.
        places: its place in the order, int64 [e], below `size`; None when they are 0, 1, 2...
        size: how many places there are.
    """

    def __init__(self, codes: Ints, places: Ints | None, *, size: int):
        self._bits = max(size, 1).bit_length()
        self._mask = (1 << self._bits) - 1
        packed = np.left_shift(codes, self._bits)
        for part in pieces(len(packed)):
            packed[part] |= np.arange(part.start, part.stop) if places is None else places[part]
        packed.sort()
        self._packed: Ints = packed

    def __len__(self) -> int:
        return len(self._packed)

    def pack(self, codes: Ints, places: Ints) -> Ints:
        """Composites, which sort by (key, place)."""
        return (codes << self._bits) | places

    def before(self, codes: Ints, places: Ints | int) -> Ints:
        """Where each (code, place) would stand among all things, int64 [n]."""
        return find(self._packed, (codes << self._bits) | places)

    def places(self, part: slice | Ints) -> Ints:
        """The places of some of the sorted things."""
        return self._packed[part] & self._mask

    def codes(self, part: slice | Ints) -> Ints:
        """The keys of some of the sorted things."""
        return self._packed[part] >> self._bits

    def column(self, values: Callable[[Ints], Ints], out: Ints | None = None) -> Ints:
        """Something about each thing, in sorted order, int64 [e].

        Args:
            values: gives it for things by place.
            out: where to put it.
        """
        made = np.empty(len(self), np.int64) if out is None else out
        for part in pieces(len(self)):
            made[part] = values(self.places(part))
        return made

    def kept(self, keep: Callable[[Ints], NDArray[np.bool_]]) -> "Timeline":
        """The things that pass a test of their places; sorted as they are."""
        lines = object.__new__(Timeline)
        lines._bits, lines._mask = self._bits, self._mask
        passed = [self._packed[part][keep(self.places(part))] for part in pieces(len(self))]
        lines._packed = np.concatenate(passed) if passed else self._packed
        return lines


def ragged(counts: Ints) -> tuple[Ints, Ints]:
    """Each index i repeated counts[i] times, and the running number within each repeat.

    >>> [a.tolist() for a in ragged(np.array([2, 0, 1]))]
    [[0, 0, 2], [0, 1, 0]]
    """
    index = np.repeat(np.arange(len(counts)), counts)
    return index, np.arange(len(index)) - np.repeat(np.cumsum(counts) - counts, counts)
