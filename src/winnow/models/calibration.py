"""Per-head calibration: makes predictions mean what they say, by plain numbers fitted on rows held out from training.

It is files of its own beside the model (`calibration.npz`, and `segments.npz` where segments are told apart), so that
it can be fitted again, on its own cadence, for a model that stays as it is.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from winnow.core.errors import InputError, Problem
from winnow.features.batch import FeatureBatch, Floats
from winnow.models.base import HeadType
from winnow.models.segments import Segmented, Segments, logit, read_arrays, sigmoid

Values = NDArray[np.float64]
Curve = tuple[Values, Values]
Method = Literal["isotonic", "platt"]
FILE = "calibration.npz"
_EDGE = 1e-6
_LEAST_ROWS = 50
_NEWTON_STEPS = 50
_RIDGE = 1e-6
_BLOCK_PRIOR = 5.0  # rows by which each isotonic step leans on its own mean prediction


@dataclass(frozen=True)
class Calibration:
    """Head → knots (x, y) of a rising, piecewise linear curve from raw to calibrated predictions.

    Between knots it is linear, outside it is flat. Heads without a curve stay as they are.

    Args:
        curves: the global curves.
        segments: what is left to correct by segment; None when segments are not told apart.
    """

    curves: Mapping[str, Curve]
    segments: Segments | None = None

    @classmethod
    def fit(
        cls, method: Method | Segmented, raw: Floats, labels: Mapping[str, Floats], *, types: Mapping[str, HeadType],
        features: FeatureBatch | None = None,
    ) -> Self:  # fmt: skip
        """Curves fitted on held-out predictions.

        Args:
            method: `isotonic` or `platt` (logistic on the log-odds); regression heads are scaled to the mean of the
                label with either. `Segmented` for curves and segments.
            raw: predictions, float32 [N, H], columns in the order of `types`.
            labels: head → float32 [N]; NaN where unknown.
            types: head → `binary` or `regression`.
            features: of the rows; what `Segmented` tells segments apart by.

        Raises:
            InputError: `unknown-calibration`, `bad-segments`.
        """
        if isinstance(method, Segmented):
            return cls._segmented(method, raw, labels, types=types, features=features)
        if method not in ("isotonic", "platt"):
            raise InputError(Problem("unknown-calibration", f"calibration `{method}`", fix="isotonic or platt"))
        curves: dict[str, Curve] = {}
        for column, (head, kind) in enumerate(types.items()):
            known = ~np.isnan(labels[head])
            x, y = raw[known, column].astype(np.float64), labels[head][known].astype(np.float64)
            curve = _curve(method, kind, x, y) if len(y) >= _LEAST_ROWS else None
            curves |= {head: curve} if curve else {}
        return cls(curves)

    @classmethod
    def _segmented(
        cls, how: Segmented, raw: Floats, labels: Mapping[str, Floats], *, types: Mapping[str, HeadType],
        features: FeatureBatch | None,
    ) -> Self:  # fmt: skip
        if found := list(how.problems()):
            raise InputError(*found)
        if features is None:
            raise InputError(Problem("bad-segments", "no features to tell segments apart by", fix="pass the features"))
        curves = cls.fit(how.method, raw, labels, types=types)  # type: ignore[arg-type]
        smooth = curves.apply(raw, tuple(types))
        return cls(curves.curves, Segments.fit(how.by, smooth, labels, features=features, types=types))

    def apply(self, raw: Floats, heads: tuple[str, ...], features: FeatureBatch | None = None) -> Floats:
        """Calibrated predictions, float32 [N, H], same shape as `raw`; by segment where the features are given."""
        out = raw.astype(np.float32, copy=True)
        for column, head in enumerate(heads):
            if head in self.curves:
                out[:, column] = np.interp(raw[:, column], *self.curves[head])
        return out if self.segments is None or features is None else self.segments.apply(out, heads, features)

    def save(self, folder: Path) -> None:
        """Write `calibration.npz`, and `segments.npz` if there are segments."""
        if self.segments is not None:
            self.segments.save(folder)
        arrays = {f"{head}|{axis}": a for head, (x, y) in self.curves.items() for axis, a in (("x", x), ("y", y))}
        np.savez(folder / FILE, **arrays)  # type: ignore[arg-type]

    @classmethod
    def open(cls, folder: Path) -> Self | None:
        """What `save` wrote; None when the model has none.

        Raises:
            InputError: `model-corrupt`.
        """
        curves = read_arrays(folder / FILE, _curves)
        return None if curves is None else cls(curves, Segments.open(folder))


def _curves(stored: dict[str, Values]) -> dict[str, Curve]:
    heads = sorted({key.rpartition("|")[0] for key in stored})
    return {head: (stored[f"{head}|x"], stored[f"{head}|y"]) for head in heads}


def _curve(method: Method, kind: HeadType, x: Values, y: Values) -> Curve | None:
    if kind == "regression":
        scale = y.mean() / x.mean() if x.mean() > 0 else 1.0
        top = max(float(x.max()), 1.0) * 1e3  # far beyond any prediction
        return np.array([0.0, top]), np.array([0.0, top * scale])
    if y.min() == y.max():
        return None
    return platt(x, y) if method == "platt" else isotonic(x, y)


def isotonic(x: Values, y: Values) -> Curve:
    """The non-decreasing step means of y over x (pool adjacent violators), joined linearly at the block centres.

    Blocks lean a little on their own mean prediction, so that a small block does not answer 0 or 1.

    Source: Zadrozny & Elkan 2002.
    """
    order = np.argsort(x, kind="stable")
    centres: list[float] = []
    means: list[float] = []
    weights: list[float] = []
    values, at = np.unique(x[order], return_inverse=True)
    counts = np.bincount(at).astype(np.float64)
    for v, m, n in zip(values, np.bincount(at, y[order]) / counts, counts, strict=True):
        for side, value in ((centres, v), (means, m), (weights, n)):
            side.append(float(value))
        while len(means) > 1 and means[-2] >= means[-1]:
            n2, m2, c2 = weights.pop(), means.pop(), centres.pop()
            total = weights[-1] + n2
            means[-1] = (means[-1] * weights[-1] + m2 * n2) / total
            centres[-1] = (centres[-1] * weights[-1] + c2 * n2) / total
            weights[-1] = total
    c, m, w = np.array(centres), np.array(means), np.array(weights)
    smooth = (m * w + c * _BLOCK_PRIOR) / (w + _BLOCK_PRIOR)
    return c, np.clip(np.maximum.accumulate(smooth), _EDGE, 1 - _EDGE)


def platt(x: Values, y: Values) -> Curve:
    """sigmoid(a · logit(x) + b) as a curve of 201 knots, a >= 0, by Newton's method with steps that never lose.

    Source: Platt 1999; Lin, Lin and Weng 2007 (the line search).
    """
    z = logit(x)
    design, weights = np.stack([z, np.ones_like(z)], axis=1), np.array([1.0, 0.0])
    for _ in range(_NEWTON_STEPS):
        p = sigmoid(design @ weights)
        hessian = design.T @ (design * (p * (1 - p))[:, None]) + _RIDGE * np.eye(2)
        newton = np.asarray(np.linalg.solve(hessian, design.T @ (y - p) - _RIDGE * weights), np.float64)
        step = _shortened(newton, weights, design, y)
        weights = weights + step
        if float(np.abs(step).max()) < 1e-9:
            break
    slope, shift = weights if weights[0] >= 0 else (0.0, float(logit(y.mean())))
    knots = np.linspace(-14, 14, 201)
    return sigmoid(knots), np.clip(sigmoid(slope * knots + shift), _EDGE, 1 - _EDGE)


def _shortened(step: Values, weights: Values, design: Values, y: Values) -> Values:
    """The step, halved until the loss does not grow; nothing when it always does."""
    before = _loss(weights, design, y)
    for _ in range(_NEWTON_STEPS):
        if _loss(weights + step, design, y) <= before:
            return step
        step = step / 2
    return np.zeros_like(step)


def _loss(weights: Values, design: Values, y: Values) -> float:
    """Negative log-likelihood of a logistic regression, with its ridge."""
    score = design @ weights
    return float(np.sum(np.logaddexp(0.0, score) - y * score) + _RIDGE / 2 * weights @ weights)
