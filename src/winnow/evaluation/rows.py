"""What every metric of rows does first: find the rows that count and refuse what cannot be measured."""

from typing import SupportsFloat

import numpy as np
from numpy.typing import ArrayLike, NDArray

from winnow.core.errors import InputError, Problem

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]


def ratio(a: SupportsFloat, b: SupportsFloat) -> float:
    """a / b as a float, NaN where b is 0."""
    return float(a) / float(b) if float(b) != 0 else float("nan")


def quantiles(values: Floats, weight: Floats, bins: int) -> Floats:
    """The distinct inner edges of `bins` bins of equal weight."""
    if not len(values):
        return values
    order = np.argsort(values)
    cumulative = np.cumsum(weight[order])
    at = np.searchsorted(cumulative, cumulative[-1] * np.arange(1, bins) / bins, "left")
    return np.unique(values[order][np.minimum(at, len(values) - 1)])


def weights(weight: ArrayLike | None, labels: ArrayLike) -> Floats:
    """Row weights as float64 [N]; all 1 when there are none."""
    n = len(np.asarray(labels))
    w = np.ones(n) if weight is None else np.asarray(weight, np.float64)
    _same_length(n, len(w), "weights")
    return w


def known(labels: ArrayLike, predictions: ArrayLike) -> tuple[Rows, Floats, Floats]:
    """Positions of the rows whose label is known, with those labels and predictions as float64."""
    y, p = np.asarray(labels, np.float64), np.asarray(predictions, np.float64)
    _same_length(len(y), len(p), "predictions")
    rows = np.flatnonzero(~np.isnan(y))
    y, p = y[rows], p[rows]
    if not np.isfinite(p).all():
        bad = int(rows[~np.isfinite(p)][0])
        raise InputError(
            Problem(
                "prediction-not-finite", "a prediction is NaN or infinite", f"row {bad}",
                "a metric over it would say nothing", "fix the model: it must give a finite number for every row",
            )
        )  # fmt: skip
    return rows, y, p


def binary(labels: ArrayLike, scores: ArrayLike) -> tuple[Rows, Floats, Floats]:
    """`known`, refusing labels other than 0 and 1."""
    rows, y, s = known(labels, scores)
    odd = (y != 0) & (y != 1)
    if odd.any():
        raise InputError(
            Problem(
                "label-not-binary", f"label {y[odd][0]:g} is neither 0 nor 1", f"row {rows[odd][0]}",
                "this metric compares positives with negatives", "use `mae` or `rmse` for a head that predicts amounts",
            )
        )  # fmt: skip
    return rows, y, s


def _same_length(labels: int, others: int, name: str) -> None:
    if labels != others:
        raise InputError(
            Problem(
                "lengths-differ", f"{labels} labels but {others} {name}", fix="give one of each for every row"
            )
        )  # fmt: skip
