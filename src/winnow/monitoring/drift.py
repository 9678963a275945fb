"""How far two samples of one feature lie apart."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

BINS = 10
_LEAST = 1e-4


def psi(reference: ArrayLike, current: ArrayLike, *, bins: int = BINS) -> float:
    """Population stability index over bins of equal mass of the reference; missing values have a bin of their own.

    PSI = Σ_b (c_b − r_b) ln(c_b / r_b), with r and c the shares of reference and current in bin b.

    Args:
        reference: numbers, [n]; NaN is missing.
        current: numbers, [m]; NaN is missing.
        bins: number of bins asked for; ties can leave fewer.

    Returns:
        0 for equal shares; by custom above 0.1 is a shift and above 0.2 a large one. NaN without values.

    Source: Siddiqi, Credit risk scorecards (2006), chapter 9.

    >>> psi([1, 2, 3, 4], [1, 2, 3, 4], bins=2)
    0.0
    """
    a, b = np.asarray(reference, np.float64), np.asarray(current, np.float64)
    known = a[~np.isnan(a)]
    edges = np.unique(np.quantile(known, np.arange(1, bins) / bins, method="inverted_cdf")) if len(known) else known
    return _psi(_counts(_binned(a, edges), len(edges) + 2), _counts(_binned(b, edges), len(edges) + 2))


def psi_categories(reference: NDArray[np.integer], current: NDArray[np.integer]) -> float:
    """`psi` over categories; -1 (missing) is one of them, and so is one that only a sample has."""
    _, codes = np.unique(np.concatenate([reference, current]), return_inverse=True)
    size = int(codes.max(initial=-1)) + 1
    return _psi(_counts(codes[: len(reference)], size), _counts(codes[len(reference) :], size))


def psi_noise(reference: int, current: int, *, bins: int = BINS, p: float = 0.001) -> float:
    """The PSI that two samples of one distribution exceed with chance p, by their sizes alone.

    Source: Yurdakul and Naranjo, Statistical properties of the population stability index, Journal of Risk Model
    Validation 14 (2020): PSI / (1/n + 1/m) follows a chi square with bins − 1 degrees of freedom.
    """
    from scipy import stats

    return float(stats.chi2.isf(p, bins - 1) * (1 / max(reference, 1) + 1 / max(current, 1)))


def ks(reference: ArrayLike, current: ArrayLike) -> float:
    """Kolmogorov–Smirnov distance: the largest gap between two cumulative distributions, missing values left out.

    Args:
        reference: numbers, [n].
        current: numbers, [m].

    Returns:
        A value in [0, 1]; NaN when either has no values.

    Source: Smirnov, On the estimation of the discrepancy between empirical curves of distribution (1939).

    >>> ks([1, 2, 3, 4], [3, 4, 5, 6])
    0.5
    """
    a, b = (np.sort(x[~np.isnan(x)]) for x in (np.asarray(reference, np.float64), np.asarray(current, np.float64)))
    if not len(a) or not len(b):
        return float("nan")
    points = np.concatenate([a, b])
    gap = np.searchsorted(a, points, "right") / len(a) - np.searchsorted(b, points, "right") / len(b)
    return float(np.abs(gap).max())


def _binned(values: Floats, edges: Floats) -> NDArray[np.int64]:
    """Bin of each value: an edge belongs to the bin below it; the last bin holds what is missing."""
    return np.where(np.isnan(values), len(edges) + 1, np.searchsorted(edges, values, "left"))


def _counts(codes: NDArray[np.int64], size: int) -> Floats:
    return np.bincount(codes, minlength=size).astype(np.float64)


def _psi(a: Floats, b: Floats) -> float:
    n, m = a.sum(), b.sum()
    if not n or not m:
        return float("nan")
    used = (a > 0) | (b > 0)  # a bin that neither sample reaches adds nothing
    # An empty bin counts as half a value: a small sample that misses a bin is not an infinite distance away.
    low, high = (np.maximum(x[used] / t, max(_LEAST, 0.5 / t)) for x, t in ((a, n), (b, m)))
    return float(np.sum((high - low) * np.log(high / low)))
