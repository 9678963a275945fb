"""Rolling hashes of runs of characters or words: running sums once, then any run by one subtraction.

Source: Karp and Rabin, Efficient randomized pattern-matching algorithms, IBM Journal 31 (1987).
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
Places = NDArray[np.int64]

_BASE = 0x9E3779B97F4A7C15  # odd, so that it has an inverse modulo 2^64
_INVERSE = pow(_BASE, -1, 1 << 64)
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))  # of SplitMix64
_KEPT = 1 << 16  # powers that are kept


def running(codes: NDArray[np.integer]) -> Hashes:
    """What `between` needs of the codes of n characters: uint64 [n + 1]."""
    return np.append(np.uint64(0), np.cumsum(codes.astype(np.uint64) * _powers(_BASE, len(codes))))


def between(sums: Hashes, starts: Places, stops: Places) -> Hashes:
    """The hash of each run from `starts` to `stops` (not included), the same wherever it stands; uint64 [m]."""
    return mixed((sums[stops] - sums[starts]) * _powers(_INVERSE, len(sums))[starts])


def mixed(values: Hashes) -> Hashes:
    """SplitMix64's finaliser (Steele, Lea and Flood, OOPSLA 2014): near values get unrelated ones."""
    values = (values ^ (values >> np.uint64(30))) * _MIX[0]
    values = (values ^ (values >> np.uint64(27))) * _MIX[1]
    return values ^ (values >> np.uint64(31))


def _powers(base: int, size: int) -> Hashes:
    return _kept_powers(base)[:size] if size <= _KEPT else _made_powers(base, size)


@cache
def _kept_powers(base: int) -> Hashes:
    return _made_powers(base, _KEPT)


def _made_powers(base: int, size: int) -> Hashes:
    factors = np.full(max(size, 1), base, np.uint64)
    factors[0] = 1
    return np.cumprod(factors)[:size]
