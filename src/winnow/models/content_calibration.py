"""Calibration of models that judge content, which mostly have few rows to calibrate on.

N held-out posts, H heads.
"""

import numpy as np
from numpy.typing import NDArray

from winnow.features.batch import Floats
from winnow.models.calibration import Calibration, Method
from winnow.models.content import Labels

LEANS = (0.0, 0.3, 1.0, 3.0, 10.0)
_FOLDS = 5
_EDGE = 1e-6


def calibrated(method: Method, raw: Floats, labels: Labels, heads: tuple[str, ...]) -> Calibration:
    """Curves from raw to calibrated probabilities.

    `platt` leans on the model: as if every held-out post came with `lean` others that came true just as predicted. A
    model learns its rates from many more posts than are held out, and a few hundred move them by chance. How far to
    lean is decided by the held-out posts themselves, over folds, for all heads together: where labels mean something
    else than in training, they say 0.

    Args:
        method: `platt` or `isotonic`.
        raw: probabilities of held-out posts, float32 [N, H].
        labels: head → float32 [N]; NaN where unknown.
        heads: the columns.

    Source: Platt 1999; of leaning, Bishop, Pattern recognition and machine learning (2006), section 2.4.2 (conjugate
    priors as posts that were seen before).
    """
    lean = best_lean(raw, labels, heads) if method == "platt" else 0.0
    return _fitted(method, raw, labels, heads, lean=lean)


def best_lean(raw: Floats, labels: Labels, heads: tuple[str, ...]) -> float:
    """The one of least log loss on held-out posts that were left out of the fit."""
    fold = np.random.default_rng(0).permutation(np.arange(len(raw)) % _FOLDS)
    losses = np.zeros(len(LEANS))
    for k in range(_FOLDS):
        rest, out = fold != k, fold == k
        taught = {head: labels[head][rest] for head in heads}
        truth = np.stack([labels[head][out] for head in heads], axis=1)
        for i, lean in enumerate(LEANS):
            p = _fitted("platt", raw[rest], taught, heads, lean=lean).apply(raw[out], heads)
            losses[i] += _nats(p.astype(np.float64), truth)
    return LEANS[int(losses.argmin())]


def _fitted(method: Method, raw: Floats, labels: Labels, heads: tuple[str, ...], *, lean: float) -> Calibration:
    leaning = {head: _leaning(labels[head], raw[:, i], lean) for i, head in enumerate(heads)}
    return Calibration.fit(method, raw, leaning, types=dict.fromkeys(heads, "binary"))


def _leaning(labels: Floats, raw: Floats, lean: float) -> Floats:
    mixed: Floats = ((labels + lean * raw) / (1 + lean)).astype(np.float32)
    return mixed


def _nats(p: NDArray[np.float64], truth: Floats) -> float:
    """Log loss of what is known."""
    p = np.clip(p, _EDGE, 1 - _EDGE)
    return float(-np.nansum(truth * np.log(p) + (1 - truth) * np.log(1 - p)))
