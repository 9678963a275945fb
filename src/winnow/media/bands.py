"""All hashes of 256 bits within a distance of one, exactly, out of millions and in a fraction of a millisecond.

A hash is cut into ten bands of 24 bits and one of 16. If two hashes differ in at most 31 bits, they differ in at most 2
bits of one of the ten, or in at most 1 bit of the last: otherwise they would differ in 10 x 3 + 2 = 32 or more. So it
is enough to look up 10 x 301 + 17 keys, and to count the bits of what is found there: at 10^6 hashes, some 440.

The keys that exist are bits of a map of 21 MB, with the number of those before each word of it: a key that exists is
found in two steps, one that does not, which is what most are, in one.

Source: the pigeonhole argument of Norouzi, Punjani and Fleet, "Fast exact search in Hamming space with multi-index
hashing", IEEE TPAMI 2014, with bands wide enough to look for two flipped bits.
"""

from collections.abc import Iterator
from itertools import combinations, pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]
Ints = NDArray[np.int64]
Keys = NDArray[np.uint32]

REACH = 31  # bits: the farthest that the bands find; beyond it every hash is compared
SCAN = 20_000  # hashes that are all compared about as fast as the bands are looked up
_WIDE, _NARROW = 24, 16  # bits of a band
_BANDS = 10  # wide ones
_MAP_BITS = (_BANDS << _WIDE) + (1 << _NARROW)
_CHUNK = 1 << 17  # hashes compared at a time when all are
_ONE = np.uint64(1)
_PAIRS = 1 << 21  # pairs made at a time
_ROW_BITS, _ROW_MASK = np.uint64(32), np.uint64(2**32 - 1)
_NO_KEY = np.uint64(2**32 - 1)


class Tables(NamedTuple):
    """Where the hashes with a key are; every array may be mapped from a file.

    Args:
        exists: uint64 [M]: bit k % 64 of word k // 64 is set if there is the key k.
        before: int32 [M]: keys that exist in earlier words.
        starts: int32 [K + 1]: of each key that exists, where its rows begin.
        rows: int32 [11 N], or [N] for equal hashes only.
    """

    exists: Words
    before: NDArray[np.int32]
    starts: NDArray[np.int32]
    rows: NDArray[np.int32]

    @property
    def reach(self) -> int:
        """The farthest distance that they find."""
        return REACH if len(self.exists) == _MAP_BITS // 64 else 0


def built(hashes: Words, *, reach: int = REACH) -> Tables:
    """The tables of hashes uint64 [N, 4]; for reach 0, of equal hashes only, a tenth of the size."""
    keys = _keys(hashes) if reach else _keys(hashes)[:, :1]
    order = np.concatenate([np.argsort(band, kind="stable") for band in keys.T]).astype(np.int32)
    ordered = np.concatenate([np.sort(band) for band in keys.T])
    starts = np.flatnonzero(np.diff(ordered.astype(np.int64), prepend=-1))
    present = ordered[starts].astype(np.int64)
    exists = np.zeros((_MAP_BITS if reach else 1 << _WIDE) // 64, np.uint64)
    np.bitwise_or.at(exists, present >> 6, _ONE << (present & 63).astype(np.uint64))
    counts = np.bitwise_count(exists).astype(np.int64)
    before = (np.cumsum(counts) - counts).astype(np.int32)
    return Tables(exists, before, np.append(starts, len(ordered)).astype(np.int32), order)


def candidates(tables: Tables, wanted: Words) -> NDArray[np.int32]:
    """Rows int32 [C] among which are all hashes within 31 bits of one, uint64 [4]; some are there several times."""
    probes = _keys(wanted[None])[0][_BAND_OF] ^ _FLIPS
    words = tables.exists[probes >> np.uint32(6)]
    there = np.flatnonzero((words >> (probes & np.uint32(63))) & _ONE)
    found, words = probes[there], words[there]
    below = words & ((_ONE << (found & np.uint32(63)).astype(np.uint64)) - _ONE)
    places = tables.before[found >> np.uint32(6)] + np.bitwise_count(below)
    return tables.rows[_ranges(tables.starts[places], tables.starts[places + 1])]


def exact_candidates(tables: Tables, wanted: Words) -> NDArray[np.int32]:
    """Rows int32 [C] among which are all that equal a hash, uint64 [4]."""
    key = int(_keys(wanted[None])[0, 0])
    word, bit = int(tables.exists[key >> 6]), key & 63
    if not word >> bit & 1:
        return np.empty(0, np.int32)
    place = int(tables.before[key >> 6]) + (word & ((1 << bit) - 1)).bit_count()
    return tables.rows[tables.starts[place] : tables.starts[place + 1]]


def distances(hashes: Words, wanted: Words) -> Ints:
    """Bits by which hashes uint64 [N, 4] differ from one, uint64 [4]: int64 [N]."""
    apart: Ints = np.bitwise_count(hashes ^ wanted).sum(axis=1, dtype=np.int64)
    return apart


def scanned(hashes: Words, wanted: Words, distance: int) -> tuple[Ints, Ints]:
    """Rows and distances of all hashes within a distance of one, by comparing every one."""
    found, apart = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for first in range(0, len(hashes), _CHUNK):
        away = distances(hashes[first : first + _CHUNK], wanted)
        near = np.flatnonzero(away <= distance)
        found.append(near + first)
        apart.append(away[near])
    return np.concatenate(found), np.concatenate(apart)


def searched(hashes: Words, tables: Tables | None, wanted: Words, distance: int) -> tuple[Ints, Ints]:
    """As `scanned`, by the tables where that is faster."""
    if tables is None or distance > tables.reach:
        return scanned(hashes, wanted, distance)
    rows = exact_candidates(tables, wanted) if distance == 0 else candidates(tables, wanted)
    if len(rows) > len(hashes) // 4:
        return scanned(hashes, wanted, distance)
    away = distances(hashes[rows], wanted)
    near = away <= distance
    found, first = np.unique(rows[near], return_index=True)
    return found.astype(np.int64), away[near][first]


def pairs(hashes: Words) -> Iterator[tuple[Ints, Ints]]:
    """Pairs of rows among which are all within 31 bits of each other, in parts; some are there several times.

    Two keys of a wide band differ in at most 2 bits if some key differs from each in at most 1: so every hash is put
    under 25 keys of each wide band instead of 301, and those under one key are paired.
    """
    keys = _keys(hashes)
    for band in range(_BANDS):
        yield from _in_runs((keys[:, band, None] ^ _ONE_EACH[: _WIDE + 1]).astype(np.uint64))
    own = np.sort(keys[:, _BANDS].astype(np.uint64) << _ROW_BITS | np.arange(len(keys), dtype=np.uint64))
    for flip in _ONE_EACH[: _NARROW + 1]:
        wanted = (keys[:, _BANDS] ^ flip).astype(np.uint64)
        starts, stops = np.searchsorted(own, wanted << _ROW_BITS), np.searchsorted(own, (wanted + _ONE) << _ROW_BITS)
        yield from _paired(np.arange(len(keys)), starts, stops, rows=(own & _ROW_MASK).astype(np.int64))


def _in_runs(keys: Words) -> Iterator[tuple[Ints, Ints]]:
    """Pairs of rows that have a key in common, of keys uint64 [N, K]."""
    entries = np.sort((keys << _ROW_BITS | np.arange(len(keys), dtype=np.uint64)[:, None]).ravel())
    begins = np.flatnonzero(np.diff(entries >> _ROW_BITS, prepend=_NO_KEY))
    sizes = np.diff(np.append(begins, len(entries)))
    begins, sizes = begins[sizes > 1], sizes[sizes > 1]
    places = _ranges(begins, begins + sizes)
    rows = (entries & _ROW_MASK).astype(np.int64)
    yield from _paired(rows[places], places + 1, np.repeat(begins + sizes, sizes), rows=rows)


def _paired(first: Ints, starts: Ints, stops: Ints, *, rows: Ints) -> Iterator[tuple[Ints, Ints]]:
    """Each of the first with the rows from its start to before its stop, a bounded number of pairs at a time."""
    ends = np.cumsum(stops - starts)
    cuts = np.searchsorted(ends, np.arange(0, ends[-1] if len(ends) else 0, _PAIRS), side="right")
    for begin, end in pairwise([*cuts.tolist(), len(first)]):
        part = slice(begin, end)
        yield np.repeat(first[part], (stops - starts)[part]), rows[_ranges(starts[part], stops[part])]


def _keys(hashes: Words) -> Keys:
    """uint32 [N, 11]: the bits of each band, after the number of the band."""
    octets = np.ascontiguousarray(hashes, "<u8").view(np.uint8).reshape(-1, 32).astype(np.uint32)
    wide = octets[:, :30].reshape(-1, _BANDS, 3)
    keys = np.empty((len(hashes), _BANDS + 1), np.uint32)
    keys[:, :_BANDS] = wide[:, :, 0] | wide[:, :, 1] << 8 | wide[:, :, 2] << 16
    keys[:, _BANDS] = octets[:, 30] | octets[:, 31] << 8
    return keys | np.arange(_BANDS + 1, dtype=np.uint32) << np.uint32(_WIDE)


def _flips(width: int, most: int) -> list[int]:
    return [sum(1 << bit for bit in bits) for count in range(most + 1) for bits in combinations(range(width), count)]


def _ranges(starts: NDArray[np.integer], stops: NDArray[np.integer]) -> Ints:
    """All numbers from each start to before its stop."""
    sizes = (stops - starts).astype(np.int64)
    ends = np.cumsum(sizes)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - ends + sizes, sizes)


_ONE_EACH = np.array(_flips(_WIDE, 1), np.uint32)  # those of a narrow band come first
_PER_BAND = [_flips(_WIDE, 2)] * _BANDS + [_flips(_NARROW, 1)]
_FLIPS = np.array([flip for band in _PER_BAND for flip in band], np.uint32)
_BAND_OF = np.repeat(np.arange(_BANDS + 1), [len(band) for band in _PER_BAND])
