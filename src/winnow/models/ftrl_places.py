"""Features and their crosses as places of one long weight vector. Shapes: N rows, S places a row."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from winnow.core.errors import InputError, Problem, did_you_mean
from winnow.features.batch import FeatureBatch, Floats, Ints
from winnow.models.hashing import Keys, crossed, keys, places

Cross = tuple[str, ...]


@dataclass(frozen=True)
class Places:
    """Which features and crosses are read; a number is read as which of its buckets it falls into.

    Args:
        widths: categorical feature → M, or 0 when it has one value.
        edges: numeric feature → bounds of its buckets, rising.
        crosses: features that are also read together.
        bits: there are 2^bits places; the one after them stands for "nothing".
    """

    widths: Mapping[str, int]
    edges: Mapping[str, list[float]]
    crosses: tuple[Cross, ...]
    bits: int
    _salts: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_salts", {name: i for i, name in enumerate((*self.widths, *self.edges), 1)})

    @classmethod
    def fit(cls, batch: FeatureBatch, crosses: tuple[Cross, ...] | None, *, buckets: int, bits: int) -> Self:
        """Learned from training rows.

        Args:
            batch: the rows.
            crosses: features that are read together; None for every pair of categorical features.
            buckets: most buckets of a number, of about as many rows each.
            bits: of the number of places.

        Raises:
            InputError: `unknown-feature` for a cross of something that is not there.
        """
        widths = {name: rows.shape[1] if rows.ndim == 2 else 0 for name, rows in batch.categorical.items()}
        edges = {name: _edges(batch.column(name), buckets) for name in batch.numeric_names}
        wanted = tuple(itertools.combinations(widths, 2)) if crosses is None else crosses
        known = [*widths, *edges]
        for name in itertools.chain.from_iterable(wanted):
            if name not in known:
                fix = did_you_mean(name, known)
                raise InputError(Problem("unknown-feature", f"no feature `{name}` to cross", fix=fix))
        return cls(widths, edges, wanted, bits)

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Self:
        """What `to_data` gave."""
        return cls(dict(data["widths"]), dict(data["edges"]), tuple(map(tuple, data["crosses"])), data["bits"])

    def to_data(self) -> dict[str, Any]:
        """As JSON data; pairs, since the order counts."""
        return {
            "widths": list(self.widths.items()), "edges": list(self.edges.items()), "crosses": self.crosses,
            "bits": self.bits,
        }  # fmt: skip

    def __len__(self) -> int:
        return 1 << self.bits

    def read(self, batch: FeatureBatch) -> Ints:
        """Places of every row, int64 [N, S]: the constant, each feature, each cross."""
        own = {name: self._keys(batch, name) for name in self._salts}
        constant = keys(np.zeros((len(batch), 1), np.int64), 0)
        columns = [(constant, np.ones_like(constant, bool)), *own.values()]
        columns += [self._cross([own[name] for name in cross]) for cross in self.crosses]
        out = [np.where(there, places(key, self.bits), len(self)) for key, there in columns]
        return np.concatenate(out, axis=1)

    def _keys(self, batch: FeatureBatch, name: str) -> tuple[Keys, NDArray[np.bool_]]:
        """Keys of a feature and which of them stand for something, [N, M or 1]."""
        rows, width = self._rows(batch, name), self.widths.get(name, 0)
        there = rows >= 0 if width else np.ones(rows.shape, bool)  # one missing value says something; padding does not
        return keys(rows, self._salts[name]), there

    def _rows(self, batch: FeatureBatch, name: str) -> Ints:
        if name in self.edges:
            known = name in batch.numeric_names
            codes = _bucket(batch.column(name), self.edges[name]) if known else np.full(len(batch), -1)
            return codes[:, None]
        found, width = batch.categorical.get(name), max(self.widths[name], 1)
        if found is None:
            return np.full((len(batch), width), -1, np.int64)
        wide = np.broadcast_to(found, (len(batch), *found.shape[1:])).reshape(len(batch), -1)[:, :width]
        return np.pad(wide, ((0, 0), (0, width - wide.shape[1])), constant_values=-1)

    def _cross(self, parts: list[tuple[Keys, NDArray[np.bool_]]]) -> tuple[Keys, NDArray[np.bool_]]:
        key, there = parts[0]
        for other, known in parts[1:]:
            shape = (len(key), -1)
            key = crossed(key[:, :, None], other[:, None, :]).reshape(shape)
            there = (there[:, :, None] & known[:, None, :]).reshape(shape)
        return key, there


def parts(batch: FeatureBatch, rows: int) -> Iterator[tuple[slice, FeatureBatch]]:
    """A batch cut into pieces of so many rows, so that their places fit into memory."""
    for start in range(0, len(batch), rows):
        part = slice(start, min(start + rows, len(batch)))
        yield part, batch.take(part)


def _edges(values: Floats, buckets: int) -> list[float]:
    shares = np.linspace(0, 1, buckets + 1)[1:-1]
    return [float(x) for x in np.unique(np.quantile(values, shares, method="nearest"))] if len(values) else []


def _bucket(values: Floats, edges: list[float]) -> Ints:
    return np.searchsorted(np.array(edges, np.float32), values, side="left").astype(np.int64)
