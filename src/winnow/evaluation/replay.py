"""Replays choices: at the moment of each, everything that could have been chosen is scored, and the choice should rank
high.

Shapes: Q choices, P pairs of a choice and an item that could be chosen then, sorted by choice.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from winnow.core.errors import InputError, Problem
from winnow.evaluation.bootstrap import RESAMPLES, Resamples, difference, interval
from winnow.evaluation.report import Record, record
from winnow.evaluation.slices import EVERYTHING

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
PLACES = 10


@dataclass(frozen=True, eq=False)
class Asked:
    """Moments of choice, and what could be chosen at each.

    Args:
        query: which choice each pair belongs to, int64 [P], ascending.
        item: item rows, int64 [P].
        relevant: whether it was chosen, bool [P].
        users: who chose, int64 [Q]: the units that are resampled.
        slices: name → bool [Q].
    """

    query: Ints
    item: Ints
    relevant: Mask
    users: Ints
    slices: Mapping[str, Mask] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.users)

    @property
    def sizes(self) -> Ints:
        """How many items could be chosen at each, int64 [Q]."""
        return np.bincount(self.query, minlength=len(self))


@dataclass(frozen=True)
class Scored:
    """What one model gives each pair.

    Args:
        name: `L0`, `L1`, `L2`.
        model: name of the model.
        scores: [P], larger is better.
        head: what is predicted; empty for retrieval.
    """

    name: str
    model: str
    scores: NDArray[np.floating]
    head: str = ""


def places(asked: Asked, scores: NDArray[np.floating], *, seed: int = 0) -> Ints:
    """The place of each pair in the list of its choice, from 1, int64 [P]; equal scores in an order drawn by the seed.

    >>> one = Asked(np.array([0, 0, 1]), np.array([7, 8, 7]), np.array([True, False, True]), np.array([3, 3]))
    >>> places(one, np.array([0.1, 0.7, 0.2])).tolist()
    [2, 1, 1]
    """
    order = np.lexsort((np.random.default_rng(seed).random(len(scores)), -scores, asked.query))
    starts = np.concatenate([[0], np.cumsum(asked.sizes)])
    found = np.empty(len(scores), np.int64)
    found[order] = np.arange(len(scores)) - starts[asked.query[order]] + 1
    return found


def measured(asked: Asked, scores: NDArray[np.floating], *, k: int = PLACES, seed: int = 0) -> dict[str, Floats]:
    """`map`, `mrr`, `recall@k` and `ndcg@k` of each choice, float64 [Q]; NaN where nothing right could be chosen.

    Over the whole list, with R the places of what is right: AP = mean over R of (how many of R up to that place) /
    place; RR = 1 / the first of R; recall@k = share of R up to k; NDCG@k with gains of 0 and 1.

    Args:
        asked: the choices.
        scores: of each pair, [P].
        k: places that count for recall and NDCG.
        seed: of the order of equal scores.

    Raises:
        InputError: `lengths-differ`, `prediction-not-finite`.

    Source: Manning, Raghavan and Schütze, Introduction to Information Retrieval (2008), chapter 8.

    >>> one = Asked(np.array([0, 0, 0]), np.arange(3), np.array([False, True, True]), np.array([5]))
    >>> measured(one, np.array([0.9, 0.8, 0.1]))["map"].round(4).tolist()
    [0.5833]
    """
    _check(asked, scores)
    place = places(asked, scores, seed=seed)
    right = np.flatnonzero(asked.relevant)
    order = right[np.lexsort((place[right], asked.query[right]))]
    query, at = asked.query[order], place[order]
    count = np.bincount(query, minlength=len(asked))
    nth = np.arange(len(order)) - (np.cumsum(count) - count)[query] + 1  # the how manieth right one of its list
    gains = np.where(at <= k, 1 / np.log2(at + 1), 0.0)
    ideal = np.concatenate([[0.0], np.cumsum(1 / np.log2(np.arange(2, k + 2)))])[np.minimum(count, k)]
    return {
        "map": _over(np.bincount(query, nth / at, minlength=len(asked)), count),
        "mrr": _over(np.bincount(query, np.where(nth == 1, 1 / at, 0.0), minlength=len(asked)), np.minimum(count, 1)),
        f"recall@{k}": _over(np.bincount(query, at <= k, minlength=len(asked)), count),
        f"ndcg@{k}": _over(np.bincount(query, gains, minlength=len(asked)), ideal),
    }


def evaluate(
    rungs: Sequence[Scored], asked: Asked, *, stage: str, k: int = PLACES, resamples: int = RESAMPLES, seed: int = 0
) -> list[Record]:
    """Every metric of every rung and slice, with 95 % intervals by resampling users.

    Args:
        rungs: their scores.
        asked: the choices.
        stage: `ranking` or `retrieval`.
        k: places that count for recall and NDCG.
        resamples: number of draws.
        seed: of the draws, and of the order of equal scores.
    """
    drawn = Resamples.of(asked.users, resamples=resamples, seed=seed)
    found = []
    for rung in rungs:
        for name, metric, values in _sliced(asked, measured(asked, rung.scores, k=k, seed=seed)):
            found.append(_record(rung, stage, name, metric=metric, series=drawn.means(values), values=values))
    return found


def compare(
    new: Scored, old: Scored, asked: Asked, *, stage: str, k: int = PLACES, resamples: int = RESAMPLES, seed: int = 0
) -> list[Record]:
    """Paired differences new − old of every metric on the same choices, with the name and model of `new`."""
    drawn = Resamples.of(asked.users, resamples=resamples, seed=seed)
    after, before = (_sliced(asked, measured(asked, rung.scores, k=k, seed=seed)) for rung in (new, old))
    return [
        record(stage, new.name, new.model, head=new.head, slice=name, metric=metric, n=_known(a),
               interval=difference(drawn.means(a), drawn.means(b)))
        for (name, metric, a), (_, _, b) in zip(after, before, strict=True)
    ]  # fmt: skip


def _sliced(asked: Asked, whole: Mapping[str, Floats]) -> Iterator[tuple[str, str, Floats]]:
    """Slice, metric and the value of each choice, NaN for those outside the slice."""
    for name, mask in {EVERYTHING: np.ones(len(asked), np.bool_), **asked.slices}.items():
        for metric, values in whole.items():
            yield name, metric, np.where(mask, values, np.nan)


def _record(rung: Scored, stage: str, name: str, *, metric: str, series: Floats, values: Floats) -> Record:
    return record(
        stage, rung.name, rung.model, head=rung.head, slice=name, metric=metric, interval=interval(series),
        n=_known(values),
    )  # fmt: skip


def _known(values: Floats) -> int:
    return int((~np.isnan(values)).sum())


def _over(a: NDArray[Any], b: NDArray[Any]) -> Floats:
    out: Floats = np.full(len(a), np.nan)
    np.divide(a, b, out=out, where=b > 0)
    return out


def _check(asked: Asked, scores: NDArray[np.floating]) -> None:
    if len(scores) != len(asked.query):
        what = f"{len(scores)} scores for {len(asked.query)} pairs"
        raise InputError(Problem("lengths-differ", what, fix="score every pair once"))
    if not np.isfinite(scores).all():
        row = int(np.flatnonzero(~np.isfinite(scores))[0])
        why, fix = "a list with it has no order", "fix the model: it must give a finite number for every pair"
        raise InputError(Problem("prediction-not-finite", "a score is NaN or infinite", f"pair {row}", why, fix))
