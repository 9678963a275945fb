"""Who gets which arm of an experiment: a hash decides, the same everywhere and at any time, without any state.

A unit has a bucket in each layer, which decides in which experiment it takes part, and a second independent one in
that experiment, which decides its arm. So a growing share adds people without moving any.
"""

import hashlib
from collections.abc import Sequence

import numpy as np

BUCKETS = 10_000
OUTSIDE = -1


def bucket(salt: str, unit: str) -> int:
    """A number in 0..9,999 that looks random and is always the same for a salt and a unit.

    >>> bucket("layer", "ada") == bucket("layer", "ada") != bucket("other", "ada")
    True
    """
    # The length keeps ("ab", "c") and ("a", "bc") apart.
    text = f"{len(salt)}:{salt}{unit}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") % BUCKETS


def buckets(start: float, share: float) -> range:
    """The buckets of a layer that an experiment takes."""
    first = round(start * BUCKETS)
    return range(first, first + round(share * BUCKETS))


def code(experiment: str, unit: str, *, layer: str, taken: range, parts: Sequence[float]) -> int:
    """The number of a unit's arm, OUTSIDE when it does not take part.

    Args:
        experiment: its name, the salt of the arms.
        unit: who.
        layer: name of the layer.
        taken: the buckets of the layer that take part.
        parts: of each arm; they sum to 1.
    """
    if bucket(f"layer:{layer}", unit) not in taken:
        return OUTSIDE
    place = bucket(f"arm:{experiment}", unit)
    ends = np.round(np.cumsum(parts) * BUCKETS)
    return min(int(np.searchsorted(ends, place, "right")), len(parts) - 1)
