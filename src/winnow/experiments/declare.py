"""What a system says about an experiment."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from winnow.core.arms import BUCKETS, buckets
from winnow.core.declare import Declared
from winnow.core.errors import Problem, did_you_mean

__all__ = ["BUCKETS", "Experiment", "overlaps"]
_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Experiment(Declared):
    """A comparison of arms on a share of the units of a layer.

    Args:
        name: also the salt of the arms, so equal names split people equally.
        arms: arm → its part of the experiment; the parts sum to 1 and the first arm is the control.
        share: part of the layer's units that take part, in steps of 1/10,000. Raising it moves nobody between arms.
        start: where in the layer the share begins; experiments of one layer must not overlap.
        layer: experiments of one layer share out its units, experiments of different layers cross independently.
        unit: what is assigned, usually `user`.
        weights: arm → head → weight of the value model in it; an arm without any keeps the live weights.

    >>> Experiment("bigger_covers", {"control": 0.5, "big": 0.5}, share=0.1).control
    'control'
    """

    name: str
    arms: Mapping[str, float] = field(hash=False)
    share: float = field(kw_only=True, default=1.0)
    start: float = field(kw_only=True, default=0.0)
    layer: str = field(kw_only=True, default="default")
    unit: str = field(kw_only=True, default="user")
    weights: Mapping[str, Mapping[str, float]] = field(kw_only=True, default_factory=dict, hash=False)

    @property
    def control(self) -> str:
        """The arm that the others are compared with."""
        return next(iter(self.arms))

    @property
    def buckets(self) -> range:
        """The buckets of the layer that take part."""
        return buckets(self.start, self.share)

    def problems(self, system: Any = None) -> Iterator[Problem]:
        if len(self.arms) < 2 or min(self.arms.values(), default=0) <= 0:
            fix = 'for example arms={"control": 0.5, "new": 0.5}'
            yield Problem("bad-arms", f"`{self.name}` needs two arms with positive parts", self.where, fix=fix)
        elif abs(sum(self.arms.values()) - 1) > _TOLERANCE:
            what = f"the arms of `{self.name}` sum to {sum(self.arms.values()):g}"
            fix = "let the parts sum to 1; `share` says how many units take part"
            yield Problem("bad-arms", what, self.where, fix=fix)
        if not (self.start >= 0 and self.share > 0 and self.start + self.share <= 1 + _TOLERANCE):
            what = f"`{self.name}` takes {self.start:g} to {self.start + self.share:g} of its layer"
            yield Problem("bad-share", what, self.where, fix="stay within 0 and 1")
        for name in sorted(set(self.weights) - set(self.arms)):
            what = f"`{self.name}` has weights for the arm `{name}`, and no such arm"
            yield Problem("unknown-arm", what, self.where, fix=did_you_mean(name, self.arms))


def overlaps(experiments: Sequence[Experiment]) -> Iterator[Problem]:
    """The pairs of experiments that claim the same units of one layer."""
    for i, one in enumerate(experiments):
        for other in experiments[:i]:
            if one.layer == other.layer and set(one.buckets) & set(other.buckets):
                yield Problem(
                    "experiments-overlap", f"`{one.name}` and `{other.name}` claim the same units", one.where,
                    "a person in both would blur both", "give one another `start`, or a `layer` of its own",
                )  # fmt: skip
