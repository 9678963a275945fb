"""95 % intervals by resampling users.

Rows of one user depend on each other, so users are drawn, not rows (a clustered bootstrap). A draw is a count per user;
metrics take it as row weights and sort only once. The same draws serve every rung, which makes differences paired.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from winnow.evaluation.metrics import Statistic
from winnow.evaluation.rows import Floats

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

RESAMPLES = 200
LEVEL = 0.95


class Interval(NamedTuple):
    """A value with its percentile interval; NaN where it is not defined."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Resamples:
    """B draws, with replacement, of the U distinct users behind N rows.

    Args:
        user: which of the U users each row belongs to, int64 [N].
        draws: how often each user was drawn, uint8 [B, U].
        weight: the rows' own weight, float64 [N].
    """

    user: Ints
    draws: NDArray[np.uint8]
    weight: Floats

    @classmethod
    def of(
        cls, users: Ints, weight: NDArray[np.floating] | None = None, *, resamples: int = RESAMPLES, seed: int = 0
    ) -> "Resamples":
        """Draws for the rows of `users` (user row numbers, int64 [N]); equal seeds give equal draws."""
        distinct, codes = np.unique(users, return_inverse=True)
        n, rng = len(distinct), np.random.default_rng(seed)
        draws = np.empty((resamples, n), np.uint8)
        for b in range(resamples if n else 0):
            draws[b] = np.bincount(rng.integers(n, size=n), minlength=n)
        own = np.ones(len(users)) if weight is None else np.asarray(weight, np.float64)
        return cls(codes.astype(np.int64), draws, own)

    def take(self, rows: Ints | Mask) -> "Resamples":
        """The same draws for some of the rows."""
        return replace(self, user=self.user[rows], weight=self.weight[rows])

    def run(self, statistics: Mapping[str, Statistic]) -> dict[str, Floats]:
        """Every statistic on the rows as they are and on each draw: float64 [1 + B], the first one the real value."""
        values = np.empty((len(statistics), 1 + len(self.draws)))
        for b in range(1 + len(self.draws)):
            weight = self.weight if b == 0 else self.weight * self.draws[b - 1][self.user]
            values[:, b] = [statistic(weight) for statistic in statistics.values()]
        return dict(zip(statistics, values, strict=True))

    def means(self, values: Floats) -> Floats:
        """Means of per-row values, float64 [N] with NaN ignored, on the rows and each draw: float64 [1 + B]."""
        known = ~np.isnan(values)
        w, users = self.weight * known, self.draws.shape[1]
        total = np.bincount(self.user, w * np.where(known, values, 0), minlength=users)
        mass = np.bincount(self.user, w, minlength=users)
        # One draw at a time: a product of the whole matrix would first copy it as float64.
        top = np.array([total.sum(), *(draw @ total for draw in self.draws)])
        below = np.array([mass.sum(), *(draw @ mass for draw in self.draws)])
        out: Floats = np.full(len(top), np.nan)
        np.divide(top, below, out=out, where=below > 0)
        return out


def interval(values: Floats, level: float = LEVEL) -> Interval:
    """The first value with the percentiles of the others, which are its resamples; undefined ones are left out."""
    value, again = float(values[0]), values[1:][~np.isnan(values[1:])]
    if np.isnan(value) or not len(again):
        return Interval(value, float("nan"), float("nan"))
    low, high = np.quantile(again, [(1 - level) / 2, (1 + level) / 2])
    return Interval(value, float(low), float(high))


def bootstrap(
    statistics: Mapping[str, Statistic], users: Ints, weight: NDArray[np.floating] | None = None, *,
    resamples: int = RESAMPLES, seed: int = 0,
) -> dict[str, Interval]:  # fmt: skip
    """Values and 95 % intervals of several statistics over the same rows.

    Args:
        statistics: name → function of row weights float64 [N], from the `..._of` forms of `metrics`.
        users: user row numbers, int64 [N]: the units that are drawn.
        weight: the rows' own weight, [N]; all 1 when left out.
        resamples: number of draws.
        seed: of the draws.

    Source: Efron and Tibshirani, An introduction to the bootstrap (1993), chapters 8 and 13.

    >>> from winnow.evaluation.metrics import auc_of
    >>> y, s = np.array([0, 1] * 50), np.arange(100)
    >>> bootstrap({"auc": auc_of(y, s)}, np.arange(100))["auc"].value
    0.51
    """
    drawn = Resamples.of(users, weight, resamples=resamples, seed=seed)
    return {name: interval(values) for name, values in drawn.run(statistics).items()}


def difference(new: Floats, old: Floats, level: float = LEVEL) -> Interval:
    """The paired difference new − old of two statistics over the same draws, each float64 [1 + B]."""
    return interval(new - old, level)


def mean_interval(values: Sequence[float] | Floats, users: Ints, *, seed: int = 0) -> Interval:
    """The mean of per-row values, [N] with NaN ignored, and its interval by resampling users."""
    return interval(Resamples.of(users, seed=seed).means(np.asarray(values, np.float64)))
