"""What the arms did: differences with intervals, and the check that the split is what was planned.

Values are per unit (a person), never per event: units are what was randomised, so they are what varies independently.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from winnow.core.errors import InputError, Problem
from winnow.experiments.declare import Experiment

Floats = NDArray[np.float64]

LEVEL = 0.95
SRM_P = 0.001


@dataclass(frozen=True)
class Effect:
    """A treatment against the control.

    Args:
        control: value of the metric in the control.
        treatment: value of the metric in the treatment.
        difference: treatment − control, with its interval low to high.
        relative: difference / control, with its own interval; NaN when the control is 0.
        p: two-sided, that no difference would look at least this large.
        units: in both arms.
    """

    control: float
    treatment: float
    difference: float
    low: float
    high: float
    relative: float
    relative_low: float
    relative_high: float
    p: float
    units: int


@dataclass(frozen=True)
class Split:
    """Whether the units split as planned; a mismatch means that no difference can be trusted.

    Args:
        observed: arm → units.
        expected: arm → units that the shares promise.
        p: of a split at least this uneven under the plan.
        ok: p ≥ 0.001.
    """

    observed: Mapping[str, int]
    expected: Mapping[str, float]
    p: float
    ok: bool


def split(observed: Mapping[str, int], parts: Mapping[str, float]) -> Split:
    """Tests for a sample ratio mismatch by chi square.

    Args:
        observed: arm → units seen.
        parts: arm → planned part; the parts need not sum to 1.

    Source: Fabijan et al., Diagnosing sample ratio mismatch in online controlled experiments, KDD 2019.

    >>> split({"a": 5000, "b": 5000}, {"a": 0.5, "b": 0.5}).ok, split({"a": 5000, "b": 5400}, {"a": 1, "b": 1}).ok
    (True, False)
    """
    total, whole = sum(observed.get(a, 0) for a in parts), sum(parts.values())
    expected = {a: total * part / whole for a, part in parts.items()}
    chi = sum((observed.get(a, 0) - e) ** 2 / e for a, e in expected.items() if e > 0)
    p = float(stats.chi2.sf(chi, len(parts) - 1))
    return Split(dict(observed), expected, p, p >= SRM_P)


def mean_difference(control: ArrayLike, treatment: ArrayLike, *, level: float = LEVEL) -> Effect:
    """Difference of means with Welch's interval.

    Args:
        control: one value per unit, [n]; 0 or 1 for a rate.
        treatment: one value per unit, [m].
        level: of the interval.

    Raises:
        InputError: `too-few-units` below two in an arm.

    Source: Welch, The generalization of Student's problem, Biometrika 34 (1947).

    >>> round(mean_difference([1, 2, 3], [2, 3, 4]).difference, 6)
    1.0
    """
    a, b = _units(control), _units(treatment)
    va, vb = a.var(ddof=1) / len(a), b.var(ddof=1) / len(b)
    freedom = (va + vb) ** 2 / (va**2 / (len(a) - 1) + vb**2 / (len(b) - 1)) if va + vb > 0 else np.inf
    means = (float(a.mean()), float(b.mean()))
    return _effect(*means, variances=(va, vb), freedom=freedom, level=level, units=len(a) + len(b))


def ratio_difference(
    control: tuple[ArrayLike, ArrayLike], treatment: tuple[ArrayLike, ArrayLike], *, level: float = LEVEL
) -> Effect:
    """Difference of ratios of sums, such as clicks over impressions, by the delta method.

    R = Σ x / Σ y;  Var(R) ≈ Var(x − R y) / (n ȳ²): the units vary together in numerator and denominator.

    Args:
        control: numerator and denominator, one value of each per unit, [n].
        treatment: the same of the other arm, [m].
        level: of the interval.

    Raises:
        InputError: `too-few-units`, `empty-denominator`.

    Source: Deng, Knoblich and Lu, Applying the delta method in metric analytics, KDD 2018.
    """
    (ra, va, na), (rb, vb, nb) = _ratio(*control), _ratio(*treatment)
    return _effect(ra, rb, variances=(va, vb), freedom=np.inf, level=level, units=na + nb)


def cuped(values: ArrayLike, before: ArrayLike, arms: ArrayLike | None = None) -> Floats:
    """Values with what was known before the experiment taken out: equal means, less variance.

    adjusted = y − θ (x − x̄) with θ = Cov(x, y) / Var(x), both within arms so that the effect does not enter θ.

    Args:
        values: one value per unit of all arms together, [n].
        before: a value of the same unit from before the experiment, [n], such as last month's metric; NaN where there
            was none takes the mean.
        arms: arm of each unit, [n]; all one arm when left out.

    Source: Deng, Xu, Kohavi and Walker, Improving the sensitivity of online controlled experiments by utilizing
    pre-experiment data, WSDM 2013.
    """
    y, x = _units(values), np.asarray(before, np.float64)
    x = np.where(np.isnan(x), np.nanmean(x) if (~np.isnan(x)).any() else 0.0, x)
    groups = np.zeros(len(y)) if arms is None else np.asarray(arms)
    dx, dy = _centred(x, groups), _centred(y, groups)
    spread = float(dx @ dx)
    theta = float(dx @ dy) / spread if spread > 0 else 0.0
    adjusted: Floats = y - theta * (x - x.mean())
    return adjusted


@dataclass(frozen=True)
class Result:
    """An experiment's split and the effect of each arm on one metric."""

    split: Split
    effects: Mapping[str, Effect]


def analyse(
    experiment: Experiment, arms: NDArray[np.int64], values: ArrayLike, *, before: ArrayLike | None = None
) -> Result:
    """Every arm against the control on one metric.

    Args:
        experiment: as declared.
        arms: number of each unit's arm, int64 [n]; -1 is left out.
        values: the metric of each unit, [n].
        before: the same units' values from before, [n]; used to lower the variance.

    Raises:
        InputError: `too-few-units`.
    """
    inside = arms >= 0
    codes, y = arms[inside], np.asarray(values, np.float64)[inside]
    if before is not None:
        y = cuped(y, np.asarray(before, np.float64)[inside], codes)
    counts = np.bincount(codes, minlength=len(experiment.arms))
    observed = {name: int(n) for name, n in zip(experiment.arms, counts, strict=True)}
    effects = {
        name: mean_difference(y[codes == 0], y[codes == code]) for code, name in enumerate(experiment.arms) if code
    }
    return Result(split(observed, experiment.arms), effects)


def _effect(a: float, b: float, *, variances: tuple[float, float], freedom: float, level: float, units: int) -> Effect:
    va, vb = variances
    error = float(np.sqrt(va + vb))
    reach = (
        float(stats.t.ppf((1 + level) / 2, freedom)) if np.isfinite(freedom) else float(stats.norm.ppf((1 + level) / 2))
    )
    p = float(2 * stats.t.sf(abs(b - a) / error, freedom)) if error > 0 else float(a == b)
    relative = b / a - 1 if a else float("nan")
    # The delta method for a quotient of two independent means.
    around = reach * float(np.sqrt(vb / a**2 + va * b**2 / a**4)) if a else float("nan")
    return Effect(
        a, b, b - a, b - a - reach * error, b - a + reach * error,
        relative, relative - around, relative + around, p, units,
    )  # fmt: skip


def _ratio(numerator: ArrayLike, denominator: ArrayLike) -> tuple[float, float, int]:
    x, y = _units(numerator), _units(denominator)
    if y.sum() == 0:
        fix = "choose a metric whose denominator occurs in every arm"
        raise InputError(Problem("empty-denominator", "the denominator is 0 in one arm", fix=fix))
    ratio = float(x.sum() / y.sum())
    return ratio, float((x - ratio * y).var(ddof=1) / (len(x) * y.mean() ** 2)), len(x)


def _units(values: ArrayLike) -> Floats:
    array = np.asarray(values, np.float64)
    if len(array) < 2 or not np.isfinite(array).all():
        what = f"{len(array)} units" if len(array) < 2 else "a unit's value is not finite"
        raise InputError(Problem("too-few-units", what, fix="give one finite value for each of at least two units"))
    return array


def _centred(values: Floats, groups: NDArray[np.generic]) -> Floats:
    _, codes = np.unique(groups, return_inverse=True)
    means = np.bincount(codes, values) / np.bincount(codes)
    centred: Floats = values - means[codes]
    return centred
