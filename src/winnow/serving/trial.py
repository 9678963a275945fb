"""A trial: an experiment on the weights of the value model as requests are served under it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

from winnow.core.arms import OUTSIDE, buckets, code

CHAMPION = "champion"  # the arm of those who take part in nothing


@dataclass(frozen=True)
class Trial:
    """What serving has to know of an experiment.

    Args:
        name: of the experiment.
        arms: arm → its part.
        weights: arm → head → weight; an arm that is not in it keeps the live weights.
        layer, start, share: see `Experiment`.
    """

    name: str
    arms: Mapping[str, float]
    weights: Mapping[str, Mapping[str, float]]
    layer: str = "default"
    start: float = 0.0
    share: float = 1.0

    @classmethod
    def of(cls, data: Mapping[str, Any] | None) -> Self | None:
        """From the data of an `Experiment`; None for none."""
        return cls(**{name: data[name] for name in cls.__dataclass_fields__}) if data else None

    @cached_property
    def _taken(self) -> range:
        return buckets(self.start, self.share)

    def arm(self, unit: str) -> str | None:
        """The arm of a person, None for those who take no part."""
        found = code(self.name, unit, layer=self.layer, taken=self._taken, parts=list(self.arms.values()))
        return None if found == OUTSIDE else list(self.arms)[found]
