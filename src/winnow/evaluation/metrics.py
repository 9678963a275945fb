"""Metrics of predictions against labels.

Shapes: N rows. Every metric has two forms:

- `auc(labels, scores, weight=None) -> float`, for one value;
- `auc_of(labels, scores) -> Statistic`, which sorts once and then takes any number of row weights: that is what makes
  resampling cheap (`winnow.evaluation.bootstrap`).

Rules that all of them share: a row whose label is NaN is unknown (or censored) and counts for nothing; a weight of 2 is
the same as the row given twice and a weight of 0 the same as the row left out; a value that is not defined (AUC
without a positive) is NaN, never an exception. A prediction that is not finite, or lengths that differ, are errors.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from winnow.evaluation.rows import Floats, Rows, binary, known, quantiles, ratio, weights

Statistic = Callable[[Floats], float]

_CLIP = 1e-7
ECE_BINS = 15


def auc(labels: ArrayLike, scores: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Area under the ROC curve: the chance that a positive scores above a negative; a tie counts half.

    AUC = Σ_{i: y=1} Σ_{j: y=0} w_i w_j ([s_i > s_j] + ½ [s_i = s_j]) / (Σ_{y=1} w · Σ_{y=0} w)

    Args:
        labels: 0 or 1, [N]; NaN rows are ignored.
        scores: any finite numbers, [N]; only their order matters.
        weight: non-negative, [N]; all 1 when left out.

    Returns:
        A value in [0, 1]; NaN when either class has no weight.

    Raises:
        InputError: `label-not-binary`, `prediction-not-finite`, `lengths-differ`.

    Source: Hanley and McNeil, The meaning and use of the area under a ROC curve, Radiology 143 (1982).

    >>> auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.75
    """
    return auc_of(labels, scores)(weights(weight, labels))


def auc_of(labels: ArrayLike, scores: ArrayLike) -> Statistic:
    """`auc` as a function of row weights."""
    rows, y, s = binary(labels, scores)
    negatives, positives = rows[y == 0], rows[y == 1]
    s_neg, s_pos = s[y == 0], s[y == 1]
    order = np.argsort(s_neg)
    negatives, s_neg = negatives[order], s_neg[order]
    below, upto = np.searchsorted(s_neg, s_pos, "left"), np.searchsorted(s_neg, s_pos, "right")

    def value(w: Floats) -> float:
        cumulative = np.concatenate(([0.0], np.cumsum(w[negatives])))
        w_pos = w[positives]
        wins = w_pos @ (cumulative[below] + cumulative[upto]) / 2
        return ratio(wins, w_pos.sum() * cumulative[-1])

    return value


def pr_auc(labels: ArrayLike, scores: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Area under the precision-recall curve by the step rule, also called average precision.

    PR-AUC = Σ_t (R_t − R_{t−1}) P_t over the distinct scores t from high to low; tied rows enter together.

    Args:
        labels: 0 or 1, [N]; NaN rows are ignored.
        scores: any finite numbers, [N].
        weight: non-negative, [N]; all 1 when left out.

    Returns:
        A value in [0, 1]; a random order scores the share of positives. NaN without a positive.

    Raises:
        InputError: `label-not-binary`, `prediction-not-finite`, `lengths-differ`.

    Source: Davis and Goadrich, The relationship between precision-recall and ROC curves, ICML 2006.

    >>> round(pr_auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]), 4)
    0.8333
    """
    return pr_auc_of(labels, scores)(weights(weight, labels))


def pr_auc_of(labels: ArrayLike, scores: ArrayLike) -> Statistic:
    """`pr_auc` as a function of row weights."""
    rows, y, s = binary(labels, scores)
    order = np.argsort(-s)
    rows, y, s = rows[order], y[order], s[order]
    ends = np.flatnonzero(np.append(s[1:] != s[:-1], True)) if len(s) else np.zeros(0, np.int64)

    def value(w: Floats) -> float:
        w = w[rows]
        found, seen = np.cumsum(w * y)[ends], np.cumsum(w)[ends]
        precision = np.divide(found, seen, out=np.zeros_like(found), where=seen > 0)
        return ratio(np.diff(found, prepend=0.0) @ precision, found[-1] if len(found) else 0.0)

    return value


def log_loss(labels: ArrayLike, p: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Mean negative log likelihood in nats: −Σ w (y ln p + (1 − y) ln(1 − p)) / Σ w.

    Args:
        labels: 0 or 1, or a share between, [N]; NaN rows are ignored.
        p: probabilities, [N]; clipped to [1e-7, 1 − 1e-7].
        weight: non-negative, [N]; all 1 when left out.

    Returns:
        Nats per row, 0 at best; NaN when no row has weight.

    Raises:
        InputError: `prediction-not-finite`, `lengths-differ`.

    Source: Good, Rational decisions, Journal of the Royal Statistical Society B 14 (1952).

    >>> round(log_loss([1, 0], [0.9, 0.2]), 4)
    0.1643
    """
    return log_loss_of(labels, p)(weights(weight, labels))


def log_loss_of(labels: ArrayLike, p: ArrayLike) -> Statistic:
    """`log_loss` as a function of row weights."""
    rows, y, q = known(labels, p)
    return _mean_of(rows, _nats(y, q))


def normalised_entropy(labels: ArrayLike, p: ArrayLike, base_rate: float, *, weight: ArrayLike | None = None) -> float:
    """Log loss over the log loss of always predicting the base rate of the *training* period; below 1 is useful.

    NE = logloss(y, p) / logloss(y, base_rate)

    Args:
        labels: 0 or 1, [N]; NaN rows are ignored.
        p: probabilities, [N].
        base_rate: share of positives in training, a scalar in [0, 1].
        weight: non-negative, [N]; all 1 when left out.

    Returns:
        A non-negative ratio; NaN when no row has weight.

    Raises:
        InputError: `prediction-not-finite`, `lengths-differ`.

    Source: He et al., Practical lessons from predicting clicks on ads at Facebook, ADKDD 2014.

    >>> round(normalised_entropy([1, 0, 0, 0], [0.6, 0.2, 0.2, 0.1], 0.25), 4)
    0.4723
    """
    return normalised_entropy_of(labels, p, base_rate)(weights(weight, labels))


def normalised_entropy_of(labels: ArrayLike, p: ArrayLike, base_rate: float) -> Statistic:
    """`normalised_entropy` as a function of row weights."""
    rows, y, q = known(labels, p)
    model, constant = _nats(y, q), _nats(y, np.full(len(y), base_rate))

    def value(w: Floats) -> float:
        w = w[rows]
        return ratio(w @ model, w @ constant)

    return value


def ece(labels: ArrayLike, p: ArrayLike, *, bins: int = ECE_BINS, weight: ArrayLike | None = None) -> float:
    """Expected calibration error over bins of equal mass: how far predicted and observed rates lie apart.

    ECE = Σ_b |Σ_{i∈b} w_i (p_i − y_i)| / Σ w. Bin edges are quantiles of p, so equal predictions share a bin.

    Args:
        labels: 0 or 1, [N]; NaN rows are ignored.
        p: probabilities, [N].
        bins: number of bins asked for; ties can leave fewer.
        weight: non-negative, [N]; all 1 when left out.

    Returns:
        A value in [0, 1]; NaN when no row has weight.

    Raises:
        InputError: `prediction-not-finite`, `lengths-differ`.

    Source: Naeini, Cooper and Hauskrecht, Obtaining well calibrated probabilities using Bayesian binning, AAAI 2015;
    bins of equal mass as in Nguyen and O'Connor, EMNLP 2015.

    >>> round(ece([0, 1, 0, 1], [0.5, 0.5, 0.5, 0.5]), 4), round(ece([0, 0, 0, 0], [0.25, 0.25, 0.25, 0.25]), 4)
    (0.0, 0.25)
    """
    w = weights(weight, labels)
    return ece_of(labels, p, bins=bins, weight=w)(w)


def ece_of(labels: ArrayLike, p: ArrayLike, *, bins: int = ECE_BINS, weight: ArrayLike | None = None) -> Statistic:
    """`ece` as a function of row weights; the bins stay where `weight` (all 1 when left out) puts them."""
    rows, y, q = known(labels, p)
    bin_of = np.searchsorted(quantiles(q, weights(weight, labels)[rows], bins), q, "right")
    gap = q - y

    def value(w: Floats) -> float:
        w = w[rows]
        return ratio(np.abs(np.bincount(bin_of, w * gap)).sum() if len(w) else 0.0, w.sum())

    return value


def calibration(labels: ArrayLike, p: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Predicted over observed: Σ w p / Σ w y; 1 is right on average, above 1 promises too much.

    Args:
        labels: 0 or 1, or amounts, [N]; NaN rows are ignored.
        p: predictions of the same unit, [N].
        weight: non-negative, [N]; all 1 when left out.

    Returns:
        A ratio; NaN when nothing was observed.

    Raises:
        InputError: `prediction-not-finite`, `lengths-differ`.

    Source: He et al., Practical lessons from predicting clicks on ads at Facebook, ADKDD 2014.

    >>> calibration([1, 0, 0, 1], [0.5, 0.5, 0.5, 1.0])
    1.25
    """
    return calibration_of(labels, p)(weights(weight, labels))


def calibration_of(labels: ArrayLike, p: ArrayLike) -> Statistic:
    """`calibration` as a function of row weights."""
    rows, y, q = known(labels, p)
    return lambda w: ratio(w[rows] @ q, w[rows] @ y)


def mae(labels: ArrayLike, predictions: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Mean absolute error in the unit of the label: Σ w |p − y| / Σ w.

    Args:
        labels: numbers, [N]; NaN rows are ignored.
        predictions: numbers of the same unit, [N].
        weight: non-negative, [N]; all 1 when left out.

    Returns:
        A non-negative number; NaN when no row has weight.

    Raises:
        InputError: `prediction-not-finite`, `lengths-differ`.

    >>> mae([1.0, 3.0, float("nan")], [2.0, 5.0, 9.0])
    1.5
    """
    return mae_of(labels, predictions)(weights(weight, labels))


def mae_of(labels: ArrayLike, predictions: ArrayLike) -> Statistic:
    """`mae` as a function of row weights."""
    rows, y, q = known(labels, predictions)
    return _mean_of(rows, np.abs(q - y))


def rmse(labels: ArrayLike, predictions: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Root mean squared error in the unit of the label: √(Σ w (p − y)² / Σ w).

    Args:
        labels: numbers, [N]; NaN rows are ignored.
        predictions: numbers of the same unit, [N].
        weight: non-negative, [N]; all 1 when left out.

    Returns:
        A non-negative number; NaN when no row has weight.

    Raises:
        InputError: `prediction-not-finite`, `lengths-differ`.

    >>> rmse([0.0, 0.0], [3.0, 4.0]) == 12.5 ** 0.5
    True
    """
    return rmse_of(labels, predictions)(weights(weight, labels))


def rmse_of(labels: ArrayLike, predictions: ArrayLike) -> Statistic:
    """`rmse` as a function of row weights."""
    rows, y, q = known(labels, predictions)
    mean = _mean_of(rows, (q - y) ** 2)
    return lambda w: float(np.sqrt(mean(w)))


@dataclass(frozen=True)
class Metric:
    """One column of the report.

    Args:
        name: as it appears in records.
        better: `higher`, `lower`, or `one` for a ratio that should be 1.
        of: labels [N], predictions [N] and the training base rate → `Statistic`.
    """

    name: str
    better: Literal["higher", "lower", "one"]
    of: Callable[[Floats, Floats, float], Statistic]


BINARY = (
    Metric("auc", "higher", lambda y, p, _: auc_of(y, p)),
    Metric("ne", "lower", normalised_entropy_of),
    Metric("ece", "lower", lambda y, p, _: ece_of(y, p)),
    Metric("pr_auc", "higher", lambda y, p, _: pr_auc_of(y, p)),
    Metric("log_loss", "lower", lambda y, p, _: log_loss_of(y, p)),
    Metric("calibration", "one", lambda y, p, _: calibration_of(y, p)),
)
NUMBER = (
    Metric("mae", "lower", lambda y, p, _: mae_of(y, p)),
    Metric("rmse", "lower", lambda y, p, _: rmse_of(y, p)),
    Metric("calibration", "one", lambda y, p, _: calibration_of(y, p)),
)


def is_binary(labels: ArrayLike) -> bool:
    """Whether every known label is 0 or 1."""
    y = np.asarray(labels, np.float64)
    return bool(np.all(np.isnan(y) | (y == 0) | (y == 1)))


def _mean_of(rows: Rows, values: Floats) -> Statistic:
    def mean(w: Floats) -> float:
        w = w[rows]
        return ratio(w @ values, w.sum())

    return mean


def _nats(y: Floats, p: Floats) -> Floats:
    p = np.clip(p, _CLIP, 1 - _CLIP)
    return -(y * np.log(p) + (1 - y) * np.log1p(-p))
