"""Assignment of units to the arms of declared experiments; `core.arms` says how."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from winnow.core.arms import OUTSIDE, bucket, code
from winnow.experiments.declare import Experiment

__all__ = ["OUTSIDE", "arm", "arms", "assign", "bucket"]


def arm(experiment: Experiment, unit: str) -> str | None:
    """The arm of a unit, None when it does not take part."""
    found = _code(experiment, unit)
    return None if found == OUTSIDE else list(experiment.arms)[found]


def arms(experiments: Iterable[Experiment], unit: str) -> dict[str, str]:
    """Experiment → arm, for those in which a unit takes part."""
    found = {e.name: arm(e, unit) for e in experiments}
    return {name: chosen for name, chosen in found.items() if chosen is not None}


def assign(experiment: Experiment, units: Sequence[str]) -> NDArray[np.int64]:
    """The number of each unit's arm in the order of `experiment.arms`, int64 [n]; -1 does not take part."""
    return np.fromiter((_code(experiment, unit) for unit in units), np.int64, len(units))


def _code(experiment: Experiment, unit: str) -> int:
    parts = list(experiment.arms.values())
    return code(experiment.name, unit, layer=experiment.layer, taken=experiment.buckets, parts=parts)
