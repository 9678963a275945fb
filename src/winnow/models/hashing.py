"""Ids to a fixed number of places: what a model does with more ids than it can keep rows for."""

import numpy as np
from numpy.typing import NDArray

from winnow.features.batch import Ints

_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))  # of SplitMix64
_STEP = np.uint64(0x9E3779B97F4A7C15)
Keys = NDArray[np.uint64]


def mixed(keys: Keys) -> Keys:
    """SplitMix64's finaliser: near keys get unrelated ones. Same shape.

    Source: Steele, Lea and Flood, OOPSLA 2014.
    """
    out = keys ^ (keys >> np.uint64(30))
    out *= _MIX[0]
    out ^= out >> np.uint64(27)
    out *= _MIX[1]
    out ^= out >> np.uint64(31)
    return out


def keys(rows: Ints, salt: int) -> Keys:
    """Domain rows as keys of 64 bits, apart for each salt (one for each feature or hash). Same shape."""
    with np.errstate(over="ignore"):
        return mixed(rows.astype(np.uint64) + _STEP * np.uint64(salt + 1))


def crossed(left: Keys, right: Keys) -> Keys:
    """The key of a pair; (a, b) and (b, a) differ. Same shape."""
    with np.errstate(over="ignore"):
        return mixed(left * _STEP + right)


def places(of: Keys, bits: int) -> Ints:
    """Places 0 .. 2^bits - 1, from the upper bits. Same shape."""
    return (of >> np.uint64(64 - bits)).astype(np.int64)
