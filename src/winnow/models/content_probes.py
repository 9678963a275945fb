"""What one modality says of a post by itself: ridge regression on its vectors.

N rows, D columns, H heads.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from winnow.core.errors import InputError, Problem
from winnow.features.batch import Floats
from winnow.models.artefact import Artefact

FILE = "probes.npz"
RIDGES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)  # penalties that are tried, times the mean square of a row
_LEAST = 1e-9  # directions with a smaller share of the largest one's square say nothing

Values = NDArray[np.float64]
Mask = NDArray[np.bool_]


class Probe(NamedTuple):
    """A linear answer per head.

    Args:
        mean: of each column, float32 [D].
        weights: float32 [D, H].
        bias: float32 [H].
    """

    mean: Floats
    weights: Floats
    bias: Floats

    def answers(self, values: NDArray[np.floating]) -> Floats:
        """About the share of rows like these for which a head is true, float32 [N, H]; NaN where nothing is known.

        Raises:
            InputError: `lengths-differ` when the vectors have another width than in training.
        """
        if not values.shape[1]:
            return np.full((len(values), len(self.bias)), np.nan, np.float32)
        if values.shape[1] != len(self.mean):
            what = f"vectors have {values.shape[1]} columns instead of {len(self.mean)}"
            raise InputError(Problem("lengths-differ", what, fix="encode as for training"))
        known = ~np.isnan(values).all(axis=1)
        out: Floats = np.nan_to_num(values - self.mean).astype(np.float32) @ self.weights + self.bias
        out[~known] = np.nan
        return out


class _Spectrum(NamedTuple):
    """Rows X as U diag(√d) Vᵀ; of U, d and V the part that is not 0."""

    u: Values
    d: Values
    v: Values


def probed(values: NDArray[np.floating], labels: Floats) -> tuple[Probe, Floats]:
    """The probe of a modality, and for each row what one fitted without that row says, float32 [N, H], NaN if unknown.

    Leaving a row out needs no second fit: residuals grow by 1 / (1 − h), h its leverage. The penalty of each head is
    the one whose residuals of this kind are least. Means are those of all rows: the mean of all others would give a
    row's own label away, since it is the lower the higher that label.

    Args:
        values: vectors, [N, D]; NaN rows are unknown.
        labels: float32 [N, H]; NaN rows of a head teach it nothing.

    Source: Allen, "The relationship between variable selection and data augmentation and a method for prediction",
    Technometrics 1974.
    """
    seen = ~np.isnan(values).all(axis=1)
    mean = np.nanmean(values[seen], axis=0) if seen.any() else np.zeros(values.shape[1])
    centred = np.nan_to_num(values - mean).astype(np.float64)
    weights, bias = np.zeros((values.shape[1], labels.shape[1])), np.zeros(labels.shape[1])
    without = np.full(labels.shape, np.nan)
    for heads, known in _alike(labels, seen):
        if known.sum() > 1:
            weights[:, heads], bias[heads], without[np.ix_(known, heads)] = _ridge(
                centred[known], labels[np.ix_(known, heads)].astype(np.float64)
            )
    probe = Probe(mean.astype(np.float32), weights.astype(np.float32), bias.astype(np.float32))
    # Rows without a label have taught nothing, so the probe is as new to them as to any other post.
    return probe, np.where(np.isnan(without), probe.answers(values), without).astype(np.float32)


def _alike(labels: Floats, seen: Mask) -> Iterator[tuple[NDArray[np.int64], Mask]]:
    """Heads that are known of the same rows, and those rows."""
    known = ~np.isnan(labels) & seen[:, None]
    rows, of = np.unique(known, axis=1, return_inverse=True)
    for i in range(rows.shape[1]):
        yield np.flatnonzero(of.ravel() == i), rows[:, i]


def _ridge(x: Values, y: Values) -> tuple[Values, Values, Values]:
    """Weights [D, H], bias [H] and answers without the row itself [N, H]."""
    shift = x.mean(axis=0)
    spectrum, middle = _spectrum(x - shift), y.mean(axis=0)
    along = spectrum.u.T @ (y - middle)
    best, penalty, without = np.full(y.shape[1], np.inf), np.ones(y.shape[1]), np.empty_like(y)
    for ridge in RIDGES:
        size = ridge * float(spectrum.d.sum()) / len(x) + _LEAST
        kept = spectrum.d / (spectrum.d + size)
        leverage = (spectrum.u**2) @ kept
        residual = (y - middle - spectrum.u @ (kept[:, None] * along)) / np.maximum(1 - leverage, _LEAST)[:, None]
        error = (residual**2).sum(axis=0)
        better = error < best
        best[better], penalty[better], without[:, better] = error[better], size, (y - residual)[:, better]
    weights = spectrum.v @ (np.sqrt(spectrum.d)[:, None] / (spectrum.d[:, None] + penalty) * along)
    return weights, middle - shift @ weights, without


def _spectrum(x: Values) -> _Spectrum:
    """By the smaller of the two matrices of products."""
    tall = len(x) >= x.shape[1]
    d, side = np.linalg.eigh(x.T @ x if tall else x @ x.T)
    there = d > _LEAST * max(float(d[-1]), _LEAST)
    d, side = d[there], side[:, there]
    other = (x @ side if tall else x.T @ side) / np.sqrt(d)
    return _Spectrum(other, d, side) if tall else _Spectrum(side, d, other)


def save(probes: Mapping[str, Probe], folder: Path) -> None:
    """Write `probes.npz`."""
    arrays: dict[str, Any] = {f"{name}|{k}": v for name, probe in probes.items() for k, v in probe._asdict().items()}
    np.savez(folder / FILE, **arrays)


def load(artefact: Artefact) -> dict[str, Probe]:
    """What `save` wrote, by modality; nothing for a model that has none."""
    arrays = artefact.arrays(FILE) if FILE in artefact.meta["files"] else {}
    names = {key.partition("|")[0] for key in arrays}
    return {name: Probe(*(arrays[f"{name}|{field}"] for field in Probe._fields)) for name in sorted(names)}
