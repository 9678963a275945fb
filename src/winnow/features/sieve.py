"""Which keys may be among those that are asked for: leaves most events of large groups out before they are sorted."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from winnow.features.batch import Ints
from winnow.features.timeline import pieces

_FACTORS = (
    np.uint64(0x9E3779B97F4A7C15),
    np.uint64(0xD1B54A32D192ED03),
)  # odd: multiply-shift hashing (Dietzfelbinger)
_BITS = range(12, 23)  # the largest table still fits in a processor's cache
_SAMPLE = 50_000


class Sieve:
    """A table of flags, one per hash of a key.

    Args:
        keys: one or two int64 [n], the keys asked for.
    """

    def __init__(self, keys: Sequence[Ints]):
        bits = min(max((8 * len(keys[0])).bit_length(), _BITS.start), _BITS.stop - 1)
        self._shift = np.uint64(64 - bits)
        self._asked = np.zeros(1 << bits, bool)
        self._asked[self._hash(keys)] = True

    def passes(self, keys: Sequence[Ints]) -> NDArray[np.bool_]:
        """Which keys may have been asked for: all that were, and few others; bool [n]."""
        return self._asked[self._hash(keys)]

    def pays(self, keys: Sequence[Ints]) -> bool:
        """Whether it leaves out at least half of these keys, judged by a sample."""
        step = max(len(keys[0]) // _SAMPLE, 1)
        passed = self.passes([k[::step] for k in keys])
        return bool(2 * np.count_nonzero(passed) < len(passed))

    def kept(self, keys: Sequence[Ints]) -> Ints:
        """The positions of keys that may have been asked for, none negative; int64 [m]."""
        found = []
        for part in pieces(len(keys[0])):
            some = [k[part] for k in keys]
            known = np.logical_and.reduce([k >= 0 for k in some])
            found.append(np.flatnonzero(self.passes(some) & known) + part.start)
        return np.concatenate([np.empty(0, np.int64), *found])

    def _hash(self, keys: Sequence[Ints]) -> NDArray[np.uint64]:
        return mixed(keys) >> self._shift


def mixed(keys: Sequence[Ints]) -> NDArray[np.uint64]:
    """Hashes of keys, of which the high bits are the good ones; uint64 [n]."""
    hashes = np.ascontiguousarray(keys[0]).view(np.uint64) * _FACTORS[0]
    for key, factor in zip(keys[1:], _FACTORS[1:], strict=False):
        hashes += np.ascontiguousarray(key).view(np.uint64) * factor
    return hashes
