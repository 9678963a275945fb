"""From a `FeatureBatch` to the arrays that a network reads; learned from training rows only, plain numpy when serving.

Shapes: N rows, B histories (1 when all rows share one, else N), K steps, M values of a multi-valued category, J marks.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from winnow.features.batch import FeatureBatch, Floats, Ints, Recent
from winnow.models.artefact import Artefact
from winnow.models.examples import Examples
from winnow.models.vocabulary import Hashing, Vocabulary

__all__ = ["FILE", "Hashing", "History", "Inputs", "Numerics", "Vocabulary", "item_feature"]

FILE = "inputs.npz"
_KNOTS = 65
_REACH = 3.0  # numerics are clipped to this many standard deviations
_AGE_SCALE = 10.0  # log(1 + seconds) of a year is 17


@dataclass(frozen=True)
class Numerics:
    """Numeric features made comparable: each value becomes the normal quantile of its rank in training.

    Args:
        names: the features.
        x: knots, float64 [F, Q].
        z: values at the knots, float64 [F, Q].
    """

    names: tuple[str, ...]
    x: NDArray[np.float64]
    z: NDArray[np.float64]

    @classmethod
    def fit(cls, batch: FeatureBatch, names: tuple[str, ...] | None = None) -> Self:
        names = batch.numeric_names if names is None else names
        knots = [_knots(batch.column(name).astype(np.float64)) for name in names]
        empty = np.empty((0, _KNOTS))
        x, z = (np.stack(side) if names else empty for side in (zip(*knots, strict=True) if names else ((), ())))
        return cls(names, x, z)

    def apply(self, batch: FeatureBatch) -> Floats:
        """float32 [N, F], about standard normal; 0 for features that the batch lacks."""
        out = np.zeros((len(self.names), len(batch)), np.float32)
        place = {name: i for i, name in enumerate(batch.numeric_names)}
        values = np.ascontiguousarray(batch.numeric.T, np.float64)
        same = (batch.numeric == batch.numeric[:1]).all(axis=0)  # what depends on the user alone: once is enough
        for row, name in enumerate(self.names):
            if name in place:
                value = values[place[name]]
                out[row] = np.interp(value[:1] if same[place[name]] else value, self.x[row], self.z[row])
        return np.ascontiguousarray(np.nan_to_num(out, copy=False).T)


def _knots(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Up to `_KNOTS` values of a feature and the standardised normal quantile of their middle rank."""
    ordered = np.sort(values)
    x = np.unique(np.quantile(ordered, np.linspace(0, 1, _KNOTS), method="nearest"))
    z = _normal(ordered, x)
    at = np.interp(ordered, x, z)
    z = np.clip((z - at.mean()) / max(float(at.std()), 1e-6), -_REACH, _REACH)
    pad = _KNOTS - len(x)
    return np.pad(x, (0, pad), mode="edge"), np.pad(z, (0, pad), mode="edge")


def _normal(ordered: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.float64]:
    low, high = np.searchsorted(ordered, x, "left"), np.searchsorted(ordered, x, "right")
    return ndtri(((low + high) / 2 + 0.5) / (len(ordered) + 1))  # type: ignore[no-any-return]


@dataclass(frozen=True)
class History:
    """Which sequence is read, how its steps are marked, and which vocabulary its columns share with the candidate.

    Args:
        name: the sequence.
        marks: other sequences; a step whose item also stands in such a one is marked by it (watched, and liked).
        item: vocabulary of its rows.
        columns: sequence column → vocabulary.
        widths: sequence column → M, or 0 when it has one value.
    """

    name: str
    marks: tuple[str, ...]
    item: str
    columns: Mapping[str, str]
    widths: Mapping[str, int]

    @classmethod
    def match(cls, batch: FeatureBatch, names: tuple[str, ...], item: str, features: Mapping[str, Ints]) -> Self | None:
        """The first named sequence, its columns paired with the features that tell the same of a candidate: `author`
        of a step is `video_author` of the candidate. None when the batch has no such sequence.

        Args:
            batch: has the sequences.
            names: the one that is read, then those that mark it.
            item: vocabulary of its rows.
            features: categorical feature → domain rows.
        """
        if not names or names[0] not in batch.sequences:
            return None
        columns = batch.sequences[names[0]].columns
        found = {c: _counterpart(features, c, values) for c, values in columns.items()}
        kept = {c: feature for c, feature in found.items() if feature}
        widths = {c: columns[c].shape[2] if columns[c].ndim == 3 else 0 for c in kept}
        return cls(names[0], names[1:], item, kept, widths)


@dataclass(frozen=True)
class Inputs:
    """How a model reads a batch.

    Args:
        numerics: numeric features.
        vocabularies: categorical feature → its vocabulary.
        widths: categorical feature → M, or 0 when it has one value; with hashing an id counts once for each hash.
        history: the sequence, if the model reads one.
        length: K.
    """

    numerics: Numerics
    vocabularies: Mapping[str, Vocabulary]
    widths: Mapping[str, int]
    history: History | None = None
    length: int = 0

    @classmethod
    def fit(cls, train: Examples, *, least: int = 1, history: tuple[str, ...] | None = None, item: str = "",
            hashed: Hashing | None = None) -> Self:  # fmt: skip
        """Learned from training rows.

        Args:
            train: the rows.
            least: how often a category must occur to get an id of its own.
            history: sequences to read, the first attended to and the others as marks; None for all.
            item: the categorical feature that holds the candidate itself, whose vocabulary its history shares.
            hashed: for ids that are too rare; features whose vocabulary a history shares do without.
        """
        batch = train.features
        names = tuple(batch.sequences) if history is None else history
        reads = History.match(batch, names, item or names[0], batch.categorical) if names else None
        shared = _shared(batch, reads)
        vocabularies = {
            name: Vocabulary.fit(rows, *shared.get(name, ()), least=least, hashing=None if name in shared else hashed)
            for name, rows in batch.categorical.items()
        }
        if reads and reads.item not in vocabularies:
            vocabularies[reads.item] = Vocabulary.fit(*shared[reads.item], least=least)
        widths = {name: _width(rows, vocabularies[name].hashing) for name, rows in batch.categorical.items()}
        length = batch.sequences[names[0]].rows.shape[1] if reads else 0
        return cls(Numerics.fit(batch), vocabularies, widths, reads, length)

    @property
    def sizes(self) -> dict[str, int]:
        """Categorical feature → how many ids."""
        return {name: len(self.vocabularies[name]) for name in self.widths}

    def feed(self, batch: FeatureBatch) -> dict[str, NDArray[Any]]:
        """What the network reads: `numeric` [N, F], `cat|<name>` [N] or [N, M], and of the history `seq|row` [B, K],
        `seq|age` [B, K], `seq|marks` [B, K, J or 1], `seq|<column>` [B, K] or [B, K, M]."""
        feeds: dict[str, NDArray[Any]] = {"numeric": self.numerics.apply(batch)}
        for name, width in self.widths.items():
            feeds[f"cat|{name}"] = self._category(batch, name, width)
        return feeds | (self.steps(batch, self.history) if self.history else {})

    def _category(self, batch: FeatureBatch, name: str, width: int) -> Ints:
        rows = batch.categorical.get(name)
        if rows is None:
            return np.zeros((len(batch), width) if width else len(batch), np.int64)
        vocabulary = self.vocabularies[name]
        if vocabulary.hashing is None:
            return vocabulary.apply(_fit_width(rows, width))
        fitted = _fit_width(rows, width // vocabulary.hashing.hashes) if rows.ndim == 2 else rows
        return vocabulary.apply(fitted).reshape(len(rows), width)

    def steps(self, batch: FeatureBatch, history: History) -> dict[str, NDArray[Any]]:
        """The history of a batch, or an empty one."""
        recent = batch.sequences.get(history.name) or _empty(self.length)
        rows = _fit_width(recent.rows, self.length)
        known = rows >= 0
        age = np.log1p(np.maximum(_fit_width(recent.age_s, self.length), 0)) / _AGE_SCALE * known
        others = [batch.sequences[m].rows if m in batch.sequences else None for m in history.marks]
        marks = [np.zeros_like(known) if o is None else _occurs(rows, o) for o in others] or [np.zeros_like(known)]
        feeds = {
            # 0 is padding; an item without an id of its own is still a step, under 1, which all unknown ones share
            "seq|row": np.where(known, self.vocabularies[history.item].apply(rows) + 1, 0),
            "seq|age": age.astype(np.float32),
            "seq|marks": np.stack(marks, axis=-1).astype(np.float32),
        }
        for column, vocabulary in history.columns.items():
            feeds[f"seq|{column}"] = self._attribute(recent, column, vocabulary, history.widths[column])
        return feeds

    def _attribute(self, recent: Recent, column: str, vocabulary: str, width: int) -> Ints:
        shape = (len(recent.rows), self.length, width) if width else (len(recent.rows), self.length)
        out = np.full(shape, -1, np.int64)
        values = recent.columns.get(column)
        if values is not None and values.ndim == len(shape):
            kept = tuple(slice(0, min(a, b)) for a, b in zip(values.shape, shape, strict=True))
            out[kept] = values[kept]
        return self.vocabularies[vocabulary].apply(out)

    def shaped(self, feeds: dict[str, NDArray[Any]], *, each: bool = False) -> dict[str, NDArray[Any]]:
        """Rows grouped by history, [B, C, ...]: all under one when they share it, else one row each.

        Args:
            feeds: what `feed` made.
            each: one row each even when the history is shared.
        """
        rows = len(feeds["numeric"])
        own = each or len(feeds.get("seq|row", ())) not in (0, 1)
        grouped = {}
        for name, a in feeds.items():
            if name.startswith("seq|"):
                grouped[name] = np.broadcast_to(a, (rows, *a.shape[1:])) if own and len(a) == 1 else a
            else:
                grouped[name] = a[:, None] if own else a[None]
        return grouped

    def save(self, folder: Path) -> dict[str, Any]:
        """Write `inputs.npz`; returns the facts for `meta.json`."""
        tables = {f"vocabulary|{name}": v.table for name, v in self.vocabularies.items()}
        np.savez(folder / FILE, x=self.numerics.x, z=self.numerics.z, **tables)  # type: ignore[arg-type]
        h = self.history
        reads = (
            None if h is None else {name: getattr(h, name) for name in ("name", "marks", "item", "columns", "widths")}
        )
        names, widths = list(self.numerics.names), dict(self.widths)
        hashed = {n: [v.hashing.bits, v.hashing.hashes] for n, v in self.vocabularies.items() if v.hashing}
        return {"numeric": names, "widths": widths, "history": reads, "length": self.length, "hashed": hashed}

    @classmethod
    def open(cls, artefact: Artefact) -> Self:
        """What `save` wrote."""
        facts, stored = artefact.fact("inputs"), artefact.arrays(FILE)
        hashed = {n: Hashing(*h) for n, h in facts.get("hashed", {}).items()}
        tables = {k.partition("|")[2]: v for k, v in stored.items() if k.startswith("vocabulary|")}
        vocabularies = {n: Vocabulary(v, hashed.get(n)) for n, v in tables.items()}
        h = facts["history"]
        history = h and History(h["name"], tuple(h["marks"]), h["item"], h["columns"], h["widths"])
        numerics = Numerics(tuple(facts["numeric"]), stored["x"], stored["z"])
        return cls(numerics, vocabularies, facts["widths"], history, facts["length"])


def _width(rows: Ints, hashing: Hashing | None) -> int:
    width = rows.shape[1] if rows.ndim == 2 else 0
    return width if hashing is None else max(width, 1) * hashing.hashes


def item_feature(train: Examples) -> str:
    """The categorical feature that holds the item itself, or `` when there is none."""
    single = ((name, rows) for name, rows in train.features.categorical.items() if rows.ndim == 1)
    return next((name for name, rows in single if np.array_equal(rows, train.item)), "")


def _counterpart(features: Mapping[str, Ints], column: str, values: Ints) -> str:
    """The feature of the same name, alone or after its table's, and of as many dimensions."""
    fits = ((n, rows) for n, rows in features.items() if rows.ndim == values.ndim - 1)
    return next((n for n, _ in fits if n == column or n.endswith(f"_{column}")), "")


def _shared(batch: FeatureBatch, history: History | None) -> dict[str, list[Ints]]:
    """Vocabulary → the history's columns that it must cover too."""
    if history is None:
        return {}
    recent = batch.sequences[history.name]
    found = {history.item: [recent.rows]}
    for column, name in history.columns.items():
        found.setdefault(name, []).append(recent.columns[column])
    return found


def _occurs(rows: Ints, others: Ints) -> NDArray[np.bool_]:
    """Which steps [B, K] stand in the other sequence [B, L] of the same row; padding never does."""
    size = max(len(rows), len(others))
    base = int(max(rows.max(initial=0), others.max(initial=0))) + 2
    offset = np.arange(size)[:, None] * base
    keys, wanted = np.where(others >= 0, others + 1, 0) + offset, rows + 1 + offset
    return np.isin(wanted, keys) & (np.broadcast_to(rows, wanted.shape) >= 0)


def _empty(length: int) -> Recent:
    return Recent(np.full((1, length), -1, np.int64), np.zeros((1, length), np.float32))


def _fit_width(values: NDArray[Any], width: int) -> NDArray[Any]:
    """The last axis cut or padded (with -1, or 0 for ages) to a width; one-valued features stay as they are."""
    if not width or values.shape[-1] == width:
        return values
    if values.shape[-1] > width:
        return values[..., :width]
    pad = [(0, 0)] * (values.ndim - 1) + [(0, width - values.shape[-1])]
    return np.pad(values, pad, constant_values=-1 if values.dtype.kind == "i" else 0)
