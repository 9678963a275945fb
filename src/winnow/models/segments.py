"""Calibration by segment: what is left after the global curve, as one shift of the log-odds per surface, advertiser …

Segments are nested (surface, then surface and advertiser): each level corrects what the level above left. A shift is
drawn towards 0 the more, the fewer outcomes a segment has and the less segments differ at all, so that a small segment
keeps what the level above says. Within a segment the order of predictions never changes.

Source: Gelman & Hill 2007, chapter 12 (partial pooling); the spread between segments by expectation maximisation.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from winnow.core.declare import Declared
from winnow.core.errors import InputError, Problem
from winnow.features.batch import FeatureBatch, Floats, Ints
from winnow.models.artefact import corrupt

T = TypeVar("T")
Values = NDArray[np.float64]
FILE = "segments.npz"
_EDGE = 1e-6
_ROUNDS, _NEWTON_STEPS = 30, 3
_NEVER = int(np.iinfo(np.int64).min)  # no value of a category
_LEAST_SPREAD = 1e-6  # variance between segments
_PRIOR_ROWS = 50.0  # of amounts, by which a segment leans on the level above


@dataclass(frozen=True)
class Segmented(Declared):
    """How predictions are calibrated: a global curve, then by segment.

    Args:
        by: categorical features with one value per row, the outer one first: `("request_surface", "ad_advertiser")`
            corrects each surface, then each advertiser on each surface.
        method: of the global curve, `isotonic` or `platt`.
    """

    by: tuple[str, ...]
    method: str = "isotonic"

    def problems(self, system: Any = None) -> Iterator[Problem]:
        if self.method not in ("isotonic", "platt"):
            fix = "isotonic or platt"
            yield Problem("unknown-calibration", f"calibration `{self.method}`", self.where, fix=fix)
        if not self.by or len(set(self.by)) != len(self.by):
            yield Problem("bad-segments", f"segments by {self.by}", self.where, fix="name one or more features once")


@dataclass(frozen=True, eq=False)
class Segments:
    """Fitted shifts.

    Args:
        by: the features, outer one first.
        values: feature → the values seen, sorted, int64 [V].
        codes: head → per level the segments seen, sorted, int64 [S]; level 1 tells apart by the first feature, level 2
            by the first two.
        shifts: head → per level what is added to the log-odds (for amounts: to the logarithm), float64 [S].
        amounts: heads that are amounts.
    """

    by: tuple[str, ...]
    values: Mapping[str, Ints]
    codes: Mapping[str, tuple[Ints, ...]]
    shifts: Mapping[str, tuple[Values, ...]]
    amounts: frozenset[str] = frozenset()

    @classmethod
    def fit(
        cls, by: tuple[str, ...], predictions: Floats, labels: Mapping[str, Floats], *, features: FeatureBatch,
        types: Mapping[str, str],
    ) -> Self:  # fmt: skip
        """Shifts learned from rows that the model was not trained on.

        Args:
            by: features, outer one first.
            predictions: after the global curve, float32 [N, H], columns in the order of `types`.
            labels: head → float32 [N]; NaN rows are left out.
            features: of the rows.
            types: head → `binary` or `regression`.

        Raises:
            InputError: `bad-segments` when a feature is missing or has several values per row.
        """
        values = {name: np.unique(_column(features, name)) for name in by}
        levels = list(_levels(by, values, features))
        codes: dict[str, tuple[Ints, ...]] = {}
        shifts: dict[str, tuple[Values, ...]] = {}
        for place, (head, kind) in enumerate(types.items()):
            known = ~np.isnan(labels[head])
            p, y = predictions[known, place].astype(np.float64), labels[head][known].astype(np.float64)
            found = _nested(p, y, [level[known] for level in levels], amounts=kind == "regression")
            codes[head], shifts[head] = tuple(c for c, _ in found), tuple(s for _, s in found)
        return cls(by, values, codes, shifts, frozenset(h for h, kind in types.items() if kind == "regression"))

    def apply(self, predictions: Floats, heads: tuple[str, ...], features: FeatureBatch) -> Floats:
        """Corrected predictions, float32 [N, H]; rows of segments never seen keep what the level above says, and so do
        all rows of a batch that lacks a feature."""
        levels = list(_levels(self.by, self.values, features, lenient=True))
        out = predictions.astype(np.float32, copy=True)
        for place, head in enumerate(heads):
            if head not in self.codes:
                continue
            shift = np.zeros(len(out))
            for level, codes, shifts in zip(levels, self.codes[head], self.shifts[head], strict=True):
                shift += _looked_up(level, codes, shifts)
            column = predictions[:, place].astype(np.float64)
            out[:, place] = column * np.exp(shift) if head in self.amounts else sigmoid(logit(column) + shift)
        return out

    def save(self, folder: Path) -> None:
        """Write `segments.npz`."""
        arrays: dict[str, NDArray[Any]] = {"by": np.array(self.by), "amounts": np.array(sorted(self.amounts), "U")}
        arrays |= {f"values|{name}": v for name, v in self.values.items()}
        for head, levels in self.codes.items():
            for n, (codes, shifts) in enumerate(zip(levels, self.shifts[head], strict=True)):
                arrays |= {f"codes|{head}|{n}": codes, f"shifts|{head}|{n}": shifts}
        np.savez(folder / FILE, **arrays)  # type: ignore[arg-type]

    @classmethod
    def open(cls, folder: Path) -> Self | None:
        """What `save` wrote; None when there is none.

        Raises:
            InputError: `model-corrupt`.
        """
        return read_arrays(folder / FILE, cls._of)

    @classmethod
    def _of(cls, stored: dict[str, NDArray[Any]]) -> Self:
        by = tuple(stored["by"].tolist())
        heads = sorted({key.split("|")[1] for key in stored if key.startswith("codes|")})
        codes, shifts = (
            {head: tuple(stored[f"{part}|{head}|{n}"] for n in range(len(by))) for head in heads}
            for part in ("codes", "shifts")
        )
        values = {name: stored[f"values|{name}"] for name in by}
        return cls(by, values, codes, shifts, frozenset(stored["amounts"].tolist()))


class Ratio(NamedTuple):
    """Predicted over observed of one segment.

    Args:
        segment: the value of each feature.
        rows: how many.
        observed: sum of the labels.
        value: predicted over observed; NaN when nothing was observed.
    """

    segment: tuple[int, ...]
    rows: int
    observed: float
    value: float


def ratios(labels: Floats, predictions: Floats, features: FeatureBatch, by: tuple[str, ...]) -> list[Ratio]:
    """Predicted over observed by segment, those with most observed first; rows with a NaN label count for nothing.

    Args:
        labels: float [N].
        predictions: of the same unit, float [N].
        features: of the rows.
        by: categorical features that tell segments apart.
    """
    known = ~np.isnan(labels)
    columns = np.stack([_column(features, name)[known] for name in by], axis=1)
    segments, group = np.unique(columns, axis=0, return_inverse=True)
    group = group.reshape(-1)
    rows, seen, told = (np.bincount(group, w, len(segments)) for w in (None, labels[known], predictions[known]))
    value = np.divide(told, seen, out=np.full(len(seen), np.nan), where=seen > 0)
    order = np.argsort(-seen, kind="stable")
    return [Ratio(tuple(segments[i].tolist()), int(rows[i]), float(seen[i]), float(value[i])) for i in order]


def _nested(p: Values, y: Values, levels: list[Ints], *, amounts: bool) -> list[tuple[Ints, Values]]:
    """Per level its segments and their shifts, each level on what the one above left."""
    found, total = [], np.zeros(len(p))
    for level in levels:
        codes, group = np.unique(level, return_inverse=True)
        shifts = _scales(p * np.exp(total), y, group) if amounts else pooled(logit(p) + total, y, group)
        total = total + (shifts[group] if len(shifts) else 0.0)
        found.append((codes, shifts))
    return found


def pooled(z: Values, y: Values, group: Ints) -> Values:
    """Shifts of the log-odds by group, float64 [S], normally distributed around 0 with a spread that is learned too.

    Args:
        z: log-odds, [N].
        y: 0 or 1, [N].
        group: 0..S-1, [N]; every group has a row.
    """
    size = int(group.max(initial=-1)) + 1
    shift, spread, seen = np.zeros(size), 1.0, np.bincount(group, y, size)
    for _ in range(_ROUNDS if size else 0):
        for _ in range(_NEWTON_STEPS):
            p = sigmoid(z + shift[group])
            steepness = np.bincount(group, p * (1 - p), size) + 1 / spread
            step = (seen - np.bincount(group, p, size) - shift / spread) / steepness
            shift = shift + np.clip(step, -1, 1)
        before, spread = spread, max(float(np.mean(shift**2 + 1 / steepness)), _LEAST_SPREAD)
        if abs(spread - before) < 1e-3 * before:
            break
    return shift


def _scales(p: Values, y: Values, group: Ints) -> Values:
    """Logarithms of observed over predicted amounts by group, each with some rows of the mean added to both sides."""
    if not len(p):
        return np.zeros(0)
    prior = _PRIOR_ROWS * max(float(p.mean()), _EDGE)
    seen, told = (np.bincount(group, amount) + prior for amount in (y, p))
    return np.asarray(np.log(np.maximum(seen, _EDGE) / np.maximum(told, _EDGE)), np.float64)


def _levels(
    by: tuple[str, ...], values: Mapping[str, Ints], features: FeatureBatch, *, lenient: bool = False
) -> Iterator[Ints]:
    """Per level one code per row, int64 [N]; -1 where a value was never seen."""
    code, known = np.zeros(len(features), np.int64), np.ones(len(features), bool)
    for name in by:
        lost = lenient and name not in features.categorical
        column, seen = _column(features, name) if not lost else np.full(len(features), _NEVER), values[name]
        place = np.minimum(np.searchsorted(seen, column), max(len(seen) - 1, 0))
        known = known & (seen[place] == column if len(seen) else False)
        code = code * len(seen) + place
        yield np.where(known, code, -1)


def _looked_up(level: Ints, codes: Ints, shifts: Values) -> Values:
    if not len(codes):
        return np.zeros(len(level))
    place = np.minimum(np.searchsorted(codes, level), len(codes) - 1)
    return np.where((codes[place] == level) & (level >= 0), shifts[place], 0.0)


def _column(features: FeatureBatch, name: str) -> Ints:
    column = features.categorical.get(name)
    if column is None or column.ndim != 1:
        known = ", ".join(n for n, c in features.categorical.items() if c.ndim == 1)
        what = f"`{name}` is no categorical feature with one value per row"
        raise InputError(Problem("bad-segments", what, fix=f"one of {known}"))
    return np.broadcast_to(column, len(features)) if len(column) != len(features) else column


def logit(p: Any) -> Values:
    """Log-odds of chances, which are kept away from 0 and 1."""
    p = np.clip(p, _EDGE, 1 - _EDGE)
    return np.asarray(np.log(p / (1 - p)), np.float64)


def sigmoid(z: Values) -> Values:
    """Chances of log-odds."""
    return np.asarray(1 / (1 + np.exp(-np.clip(z, -40, 40))), np.float64)


def read_arrays(path: Path, make: Callable[[dict[str, NDArray[Any]]], T]) -> T | None:
    """What `make` makes of the arrays of an npz file, no pickled objects; None when the file does not exist.

    Raises:
        InputError: `model-corrupt`.
    """
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as stored:
            return make({key: stored[key] for key in stored.files})
    except Exception as error:
        raise corrupt(path, f"{type(error).__name__}: {error}") from error
