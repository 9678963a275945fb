"""Lines of int64 cells as bytes: few when most cells repeat their neighbour, and made and read by columns.

A line is a row of 32-bit words. The low byte of a word says how many cells repeat, the high 24 bits by how much their
value differs from the one before. A difference that is too large for that has more words before it, for no cells:
low byte 254 counts in steps of 2^24, 255 in steps of 2^48. The last word leads back to 0, so that lines can be put one
after the other: a batch is decoded with a cumulative sum.
"""

from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from winnow.features.batch import Ints

_LONGEST = 253  # cells that one word can stand for
_MIDDLE, _HIGH = 254, 255
_BITS = 24
_HALF = 1 << (_BITS - 1)
_TOGETHER = 12_000  # words worked on together


def encoded(lines: Ints) -> list[bytes]:
    """The bytes of each line; `lines` [n, width]."""
    if not len(lines):
        return []
    row, delta, length = _runs(lines)
    low = _signed(delta)
    middle = (delta - low) >> _BITS
    rest = _signed(middle)
    high = (middle - rest) >> _BITS
    chosen = np.stack([high != 0, rest != 0, (low != 0) | (length != 0)], axis=1)
    codes = np.stack([np.full_like(length, _HIGH), np.full_like(length, _MIDDLE), length], axis=1)
    words = (np.stack([high, rest, low], axis=1) << 8) | codes
    sizes = np.bincount(row, weights=chosen.sum(axis=1), minlength=len(lines)).astype(np.int64)
    data, ends = words[chosen].astype("<i4").tobytes(), (4 * np.cumsum(sizes)).tolist()
    return [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]


class Lines:
    """Lines as they are held. Few of their cells are asked for as a rule, so they are not laid out for that.

    Args:
        lines: the bytes of each; None for one that is not there, whose cells are 0.
        width: cells per line.
    """

    def __init__(self, lines: Sequence[bytes | None], width: int):
        self.width, self._count = width, len(lines)
        there = [line for line in lines if line is not None]
        self._there = None if len(there) == len(lines) else _places(lines)
        sizes = np.fromiter(map(len, there), np.int64, len(there)) >> 2
        group = np.cumsum(sizes) // _TOGETHER
        cuts = (np.flatnonzero(group[1:] > group[:-1]) + 1).tolist()
        spans = pairwise([0, *cuts, len(there)]) if there else ()
        self._parts = [_Part(b"".join(there[a:b]), sizes[a:b], width) for a, b in spans]

    def columns(self, lines: Ints | None, places: Ints) -> Ints:
        """Some cells of lines, int64 [p, n]; `places` [p, 1], or [p, n] for other ones in each line.

        Args:
            lines: which, int64 [n]; None for all of them.
            places: of the cells.
        """
        if places.shape[1] > 1:
            start = (np.arange(self._count) if lines is None else lines) * self.width
            return self.cells.take(start + places)
        order = np.argsort(places[:, 0])
        out = np.empty((len(places), self._count), np.int64)
        out[order] = self._found(np.searchsorted(places[order, 0], np.arange(self.width + 1))).T
        return out if lines is None else out.take(lines, axis=1)

    @cached_property
    def cells(self) -> Ints:
        """All cells, int64 [n, width]."""
        return self._found(np.arange(self.width + 1))

    def _found(self, before: Ints) -> Ints:
        """The same cells of every line, int64 [n, p]: see `_Part.cells`."""
        parts = [part.cells(before.astype(np.int32)) for part in self._parts]
        found = np.concatenate(parts) if len(parts) > 1 else parts[0] if parts else None
        if found is not None and self._there is None:
            return found
        out = np.zeros((self._count, int(before[-1])), np.int64)
        if found is not None:
            out[self._there] = found
        return out


class _Part:
    """Some lines: so few that what is made of them on the way stays in the processor's cache.

    Args:
        data: their bytes.
        sizes: words per line, int64 [n].
        width: cells per line.
    """

    def __init__(self, data: bytes, sizes: Ints, width: int):
        self._sizes, self._width, words = sizes, width, np.frombuffer(data, "<i4")
        length, delta = words & 255, (words >> 8).astype(np.int64)
        wide = np.flatnonzero(length > _LONGEST)
        delta[wide] <<= np.where(length[wide] == _HIGH, 2 * _BITS, _BITS)
        length[wide] = 0
        ends = np.cumsum(length, dtype=np.int32)
        self._lines = np.arange(len(sizes), dtype=np.int32)
        self._ends = ends - np.repeat(self._lines * width, sizes)
        self._values = np.cumsum(delta)

    def cells(self, before: NDArray[np.int32]) -> Ints:
        """The same cells of every line, int64 [n, p], in ascending order: a run is repeated as often as one is in it.

        Args:
            before: how many of the cells lie before each place, [width + 1].
        """
        until, count = before.take(self._ends), int(before[-1])
        until += np.repeat(self._lines * count, self._sizes)
        met = np.flatnonzero(np.concatenate([until[:1] > 0, until[1:] > until[:-1]]))
        times = until[met]
        times[1:] -= until[met[:-1]]
        return np.repeat(self._values[met], times).reshape(-1, count)


def _places(lines: Sequence[bytes | None]) -> Ints:
    """Which lines are there."""
    return np.fromiter((i for i, line in enumerate(lines) if line is not None), np.int64)


def _runs(lines: Ints) -> tuple[Ints, Ints, Ints]:
    """Row, difference and length of the runs of equal cells; each line ends with one for no cells, back to 0."""
    rows, width = lines.shape
    step = np.empty((rows, width + 1), np.int64)
    step[:, 0], step[:, -1] = lines[:, 0], -lines[:, -1]
    np.subtract(lines[:, 1:], lines[:, :-1], out=step[:, 1:-1])
    starts = step != 0
    starts[:, :width:_LONGEST] = True  # no run is longer than a word can tell
    starts[:, -1] = True
    row, cell = np.nonzero(starts)
    length = np.diff(cell, append=width)
    length[cell == width] = 0
    return row, step[row, cell], length


def _signed(values: Ints) -> NDArray[np.int64]:
    """The low 24 bits as a signed number."""
    return ((values + _HALF) & (2 * _HALF - 1)) - _HALF
