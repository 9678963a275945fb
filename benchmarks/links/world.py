"""A graph that resembles people: few have very many friends, and most friends belong to the same circles."""

import numpy as np
from numpy.typing import NDArray

from winnow.data.graph import Graph

_YEARS_US = 6 * 365 * 86_400_000_000
_SLOPE, _MOST = 1.7, 400.0  # of the Pareto weights by which friends are drawn
_INSIDE = 0.8


def grown(people: int, *, ties: int = 10, seed: int = 0) -> Graph:
    """A graph of `people` rows and about `ties` ties a row.

    Rows are grouped into circles of Pareto sizes from 30 up; four of five ties lie within a circle, and both ends are
    drawn by weights with a heavy tail.
    """
    rng = np.random.default_rng(seed)
    weight = np.minimum(rng.pareto(_SLOPE, people) + 0.4, _MOST)
    circle = np.repeat(np.arange(people), np.minimum(30 * (rng.pareto(1.3, people) + 1), 5_000).astype(int))[:people]
    total, parts = np.append(0.0, np.cumsum(weight)), []
    begin = np.searchsorted(circle, circle)
    end = np.searchsorted(circle, circle, "right")
    wanted, keys = people * ties, np.empty(0, np.int64)
    while len(keys) < wanted:
        more = int(1.1 * (wanted - len(keys))) + 1_000
        one = _drawn(rng, total, np.zeros(more), np.full(more, total[-1]))
        inside = rng.random(more) < _INSIDE
        low, high = np.where(inside, total[begin[one]], 0), np.where(inside, total[end[one]], total[-1])
        two = _drawn(rng, total, low, high)
        real = one != two
        parts = [keys, (np.minimum(one, two) * people + np.maximum(one, two))[real]]
        keys = np.unique(np.concatenate(parts))
    keys = rng.permutation(keys)[:wanted]
    one, two = np.divmod(keys, people)
    return Graph.of(one, two, rng.integers(0, _YEARS_US, len(keys)), size=people, as_of=_YEARS_US)


def _drawn(
    rng: np.random.Generator, total: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]
) -> NDArray[np.int64]:  # fmt: skip
    """Rows by weight, each from a range of the running total."""
    at = low + rng.random(len(low)) * (high - low)
    return np.clip(np.searchsorted(total, at, "right") - 1, 0, len(total) - 2)
