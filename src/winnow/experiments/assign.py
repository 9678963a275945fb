"""Assignment by hash: no state, the same answer everywhere and at any time.

A unit has a bucket in each layer, which decides in which experiment it takes part, and a second independent one in
that experiment, which decides its arm. So a growing share adds people without moving any.
"""

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from winnow.experiments.declare import BUCKETS, Experiment

OUTSIDE = -1


def bucket(salt: str, unit: str) -> int:
    """A number in 0..9,999 that looks random and is always the same for a salt and a unit.

    >>> bucket("layer", "ada") == bucket("layer", "ada") != bucket("other", "ada")
    True
    """
    # The length keeps ("ab", "c") and ("a", "bc") apart.
    text = f"{len(salt)}:{salt}{unit}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") % BUCKETS


def arm(experiment: Experiment, unit: str) -> str | None:
    """The arm of a unit, None when it does not take part."""
    code = _code(experiment, unit)
    return None if code == OUTSIDE else list(experiment.arms)[code]


def arms(experiments: Iterable[Experiment], unit: str) -> dict[str, str]:
    """Experiment → arm, for those in which a unit takes part."""
    found = {e.name: arm(e, unit) for e in experiments}
    return {name: chosen for name, chosen in found.items() if chosen is not None}


def assign(experiment: Experiment, units: Sequence[str]) -> NDArray[np.int64]:
    """The number of each unit's arm in the order of `experiment.arms`, int64 [n]; -1 does not take part."""
    return np.fromiter((_code(experiment, unit) for unit in units), np.int64, len(units))


def _code(experiment: Experiment, unit: str) -> int:
    if bucket(f"layer:{experiment.layer}", unit) not in experiment.buckets:
        return OUTSIDE
    ends = np.cumsum(list(experiment.arms.values())) * BUCKETS
    place = bucket(f"arm:{experiment.name}", unit)
    return min(int(np.searchsorted(np.round(ends), place, "right")), len(ends) - 1)
