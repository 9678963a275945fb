"""The value model: what predictions are worth, in one number."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from winnow.core.candidates import Candidates, Doubles, Floats, Ints
from winnow.core.declare import Declared
from winnow.core.errors import InputError, Problem, did_you_mean
from winnow.core.time import MICROS
from winnow.data.schema import Path
from winnow.features.state import NEVER
from winnow.serving.kit import Kit
from winnow.serving.query import Query, within
from winnow.serving.scorer import POPULARITY, Judged
from winnow.serving.trace import Trace

IN_ORDER = {"stage": "value", "part": "Weighted", "effect": "items are in order of time, newest first"}


@dataclass(frozen=True, init=False)
class Weighted(Declared):
    """Value of a candidate: the sum over heads of weight x prediction.

    `Weighted(click=1, hide=-40)`: keywords are heads of the labels. Weights edited while the service runs (the live
    config of the system) take the place of these. In a system without a ranking ladder it has none: the value of a
    candidate is the best score that a source gave it.

    Args:
        weights: head → weight.
        newest: a time column of the items: lists in order of time go by it, and so does a list for which every
            prediction failed.
    """

    weights: Mapping[str, float] = field(default_factory=dict, hash=False)
    newest: Path | None = None

    def __init__(self, *, newest: Path | None = None, **weights: float):
        super().__init__()
        object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "newest", newest)

    def to_data(self) -> dict[str, Any]:
        data = super().to_data()
        return data if self.newest is not None else {k: v for k, v in data.items() if k != "newest"}

    def problems(self, system: Any) -> Iterator[Problem]:
        if (system.ranking is not None and system.pipeline.ranks) or self.weights:
            heads = system.labels.heads if system.ranking is not None else ()
            yield from weight_problems(self.weights, heads, where=self.where)
        if self.newest is not None and self.newest.kind.storage != "time":
            what = f"`{self.newest}` is {self.newest.kind.storage}"
            yield Problem("bad-column", what, self.where, fix="use a time column")

    def combine(self, heads: Floats, names: tuple[str, ...], weights: Mapping[str, float]) -> Doubles:
        """The value of N candidates, float64 [N].

        Args:
            heads: predictions, float32 [N, H].
            names: the H heads. When none of them has a weight the first one is the value: a heuristic gives a score
                that only orders.
            weights: head → weight.
        """
        row = np.array([weights.get(name, 0.0) for name in names])
        return heads.astype(np.float64) @ row if row.any() else heads[:, 0].astype(np.float64)


def weight_problems(weights: Mapping[str, float], heads: Iterable[str], *, where: str = "") -> Iterator[Problem]:
    """What is wrong with a set of weights: heads that nothing predicts, weights that are no numbers."""
    heads = list(heads)
    for head, weight in weights.items():
        if head not in heads:
            why = "a prediction that does not exist would count as zero for ever"
            fix = did_you_mean(head, heads)
            yield Problem("unpredicted-head", f"weight for `{head}`, which no model predicts", where or head, why, fix)
        elif not np.isfinite(weight):
            yield Problem("weight-not-finite", f"the weight of `{head}` is {weight}", where or head)
    if not any(weights.values()):
        yield Problem("no-weights", "no head has a weight other than 0", where, "all items would be worth the same")


def check_weights(weights: Mapping[str, float], heads: Iterable[str]) -> None:
    """Raises every problem of weights that somebody wants to make live.

    Raises:
        InputError: `unpredicted-head`, `weight-not-finite`, `no-weights`.
    """
    if found := list(weight_problems(weights, heads)):
        raise InputError(*found)


def check_trial(experiment: Any, heads: Iterable[str]) -> dict[str, Any]:
    """The data of an experiment on weights, to be stored.

    Args:
        experiment: an `Experiment`.
        heads: what is predicted.

    Raises:
        InputError: what is wrong with it, and with the weights of its arms.
    """
    heads = list(heads)
    found = list(experiment.problems(None))
    for arm, weights in experiment.weights.items():
        found += weight_problems(weights, heads, where=f"weights.{arm}")
    if not experiment.weights:
        what, fix = f"no arm of `{experiment.name}` carries weights", 'give weights={"arm": {"like": 2}}'
        found.append(Problem("no-weights", what, "weights", "all arms would be served alike", fix))
    if found:
        raise InputError(*found)
    data: dict[str, Any] = experiment.to_data()
    return data


def appraise(judged: Judged, value: Weighted, query: Query, kit: Kit, trace: Trace) -> Candidates:
    """The scored candidates with their values, best first."""
    candidates = judged.candidates
    with trace.stage("value", type(value).__name__, came=len(candidates)):
        if not len(candidates):
            return candidates
        if value.newest is not None and kit.system.ranking is not None and judged.heads == (POPULARITY,):
            trace.degraded.append(IN_ORDER)
        if value.newest is not None and in_order_of_time(query, trace):
            worth = _seconds(kit.view(query, candidates.rows).path(value.newest))
            return replace(candidates, value=worth).by(worth)
        worth = value.combine(candidates.heads, judged.heads, kit.weights)
        worth = boosted(worth, candidates.rows, query)
        return replace(candidates, value=worth).by(worth)


def in_order_of_time(query: Query, trace: Trace) -> bool:
    """Whether the list goes by time: because that was asked for, or because nothing could be predicted."""
    return query.chronological or IN_ORDER in trace.degraded


def _seconds(times: Ints) -> Doubles:
    """Times in seconds since 1970, float64 [N]; 0 for unknown ones."""
    return np.where(times == NEVER, 0.0, times / MICROS)


def boosted(value: Doubles, rows: Ints, query: Query) -> Doubles:
    """Values after the request's boosts, float64 [N]; a factor above 1 lifts negative values too."""
    for boost in query.boosts:
        value = np.where(within(boost.items, rows), value + np.abs(value) * (boost.factor - 1), value)
    return value
