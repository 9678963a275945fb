"""Wishes of a policy become thresholds: the precision or the cost that is wanted, on a sample that people labelled."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from winnow.core.errors import InputError, Problem
from winnow.moderation.parsing import ordered
from winnow.moderation.policy import Costs, Policy, Rule, resolved

Floats = NDArray[np.float64]
LEAST_ACTED_ON = 10  # fewer posts above a threshold say nothing about its precision


@dataclass(frozen=True, eq=False)
class Sample:
    """Posts that were both judged and labelled, for one harm.

    Args:
        probability: [N], what the judge said; NaN where it said nothing.
        label: [N], 1 for harmful, 0 for harmless, NaN for unknown.
        weight: [N], how many posts each stands for; 1 when left out.
    """

    probability: ArrayLike
    label: ArrayLike
    weight: ArrayLike | None = None

    def known(self) -> tuple[Floats, Floats, Floats]:
        """Probability, label and weight of the rows of which both are known, highest probability first."""
        p, y = np.asarray(self.probability, np.float64), np.asarray(self.label, np.float64)
        w = np.ones(len(p)) if self.weight is None else np.asarray(self.weight, np.float64)
        rows = np.flatnonzero(np.isfinite(p) & np.isfinite(y) & (w > 0))
        rows = rows[np.argsort(-p[rows], kind="stable")]
        return p[rows], y[rows], w[rows]


@dataclass(frozen=True)
class Resolution:
    """How one rule got its threshold.

    Args:
        field: of the policy.
        at: the threshold.
        precision: share of harmful posts among those at or above it.
        recall: share of the harmful posts that are at or above it.
        rows: labelled posts that it rests on.
    """

    field: str
    at: float
    precision: float
    recall: float
    rows: int


def resolve(policy: Policy, samples: Mapping[str, Sample]) -> tuple[Policy, list[Resolution]]:
    """The policy with a number in every rule, and how each was found.

    Raises:
        InputError: `unreachable-target`, `thresholds-out-of-order`.
    """
    problems, found, told = [], {}, []
    for name, harm in policy.harms.items():
        for place, rule in enumerate(harm.rules):
            if rule.precision is None and rule.cost is None:
                continue
            field = f"harms.{name}.rules[{place}]"
            one = _resolution(rule, samples.get(name, Sample([], [])), field)
            if one is None:
                problems.append(_unreachable(rule, field, samples.get(name)))
            else:
                found[name, place] = one.at
                told.append(one)
    if not problems:
        policy = resolved(policy, found)
        problems = [p for name in policy.harms for p in ordered(policy, name)]
    if problems:
        raise InputError(*problems)
    return policy, told


def _resolution(rule: Rule, sample: Sample, field: str) -> Resolution | None:
    p, y, w = sample.known()
    if not len(p) or not y.any():
        return None
    # A threshold takes all posts of the same probability or none of them.
    last = np.flatnonzero(np.append(p[1:] != p[:-1], True))
    hits, taken = np.cumsum(w * y)[last], np.cumsum(w)[last]
    place = _cheapest(rule.cost, hits, taken) if rule.cost else _precise(rule.precision or 1.0, hits, taken, last=last)
    if place is None or p[last[place]] <= 0:
        return None
    precision, recall = hits[place] / taken[place], hits[place] / hits[-1]
    return Resolution(field, float(p[last[place]]), float(precision), float(recall), len(p))


def _precise(wish: float, hits: Floats, taken: Floats, *, last: NDArray[np.int64]) -> int | None:
    """The lowest threshold that keeps the precision: it finds most."""
    good = np.flatnonzero((hits / taken >= wish - 1e-12) & (last + 1 >= LEAST_ACTED_ON))
    return int(good[-1]) if len(good) else None


def _cheapest(cost: Costs, hits: Floats, taken: Floats) -> int:
    return int(np.argmin(cost.miss * (hits[-1] - hits) + cost.false_alarm * (taken - hits)))


def _unreachable(rule: Rule, field: str, sample: Sample | None) -> Problem:
    rows = len(sample.known()[0]) if sample else 0
    wish = f"precision {rule.precision}" if rule.precision else "the least cost"
    fix = f"label more posts of this harm (at least {LEAST_ACTED_ON} above the threshold), ask for less, or say at = …"
    return Problem("unreachable-target", f"no threshold reaches {wish} on {rows} labelled posts", field, fix=fix)
