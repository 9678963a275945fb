"""Features made of others: buckets, ratios, differences, crosses, overlaps."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from winnow.core.errors import Problem
from winnow.data.schema import EventField, Kind, Path
from winnow.features.aggregate import Aggregate
from winnow.features.batch import Ints, Recent
from winnow.features.declare import Feature, Values
from winnow.features.recent import Last, along
from winnow.features.view import View

_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))  # of SplitMix64
_STEP = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Composed(Feature):
    """Base of features made of other features; each part keeps its own time to live."""

    @property
    def paths(self) -> tuple[Path, ...]:
        return tuple(dict.fromkeys(p for part in self.parts for p in part.paths))

    @property
    def fields(self) -> tuple[EventField, ...]:
        return tuple(f for part in self.parts for f in part.fields)

    def aggregates(self) -> tuple[Aggregate, ...]:
        return tuple(dict.fromkeys(a for part in self.parts for a in part.aggregates()))

    def problems(self, system: Any) -> Iterator[Problem]:
        yield from super().problems(system)
        for part in self.parts:
            if part.type not in self._takes():
                what = f"`{self.names[0]}` is made of `{part.names[0]}`, which is {part.type}"
                yield Problem("wrong-part", what, self.where, fix=f"use one that is {' or '.join(self._takes())}")

    def _takes(self) -> tuple[str, ...]:
        return ("numeric",)


@dataclass(frozen=True)
class Bucket(Composed):
    """Which of several ranges a numeric feature falls into, as a category: 0 below the first edge, then 1, ...

    Args:
        of: the feature; each of its columns gives one.
        edges: ascending; a value equal to an edge belongs to the range above it.
    """

    of: Feature
    edges: tuple[float, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"{name}_bucket" for name in self.of.names)

    @property
    def type(self) -> Literal["numeric", "categorical", "sequence", "training_only"]:
        return "categorical"

    @property
    def parts(self) -> tuple[Feature, ...]:
        return (self.of,)

    def compute(self, view: View) -> Sequence[Values]:
        return [self._placed(np.asarray(value, np.float64)) for value in self.of.values(view)]

    def _placed(self, value: Values) -> Ints:
        place = np.searchsorted(np.asarray(self.edges), value, side="right")
        return np.where(np.isnan(value), -1, place)

    def problems(self, system: Any) -> Iterator[Problem]:
        yield from super().problems(system)
        if not self.edges or any(a >= b for a, b in zip(self.edges, self.edges[1:], strict=False)):
            yield Problem("bad-edges", f"edges {self.edges}", self.where, fix="give one or more, ascending")


@dataclass(frozen=True)
class Ratio(Composed):
    """One feature over another; unknown where either is, or where the second is 0.

    Args:
        of: above the line, one column or as many as `over`.
        over: below it.
    """

    of: Feature
    over: Feature

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"{a}_per_{b}" for a, b in _paired(self.of.names, self.over.names))

    @property
    def parts(self) -> tuple[Feature, ...]:
        return self.of, self.over

    def compute(self, view: View) -> Sequence[Values]:
        return [_divided(a, b) for a, b in _paired(self.of.values(view), self.over.values(view))]

    def problems(self, system: Any) -> Iterator[Problem]:
        yield from super().problems(system)
        yield from _matching(self, self.of, self.over)


@dataclass(frozen=True)
class Difference(Composed):
    """One feature minus another; unknown where either is.

    Args:
        of: one column or as many as `minus`.
        minus: what is taken away.
    """

    of: Feature
    minus: Feature

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"{a}_minus_{b}" for a, b in _paired(self.of.names, self.minus.names))

    @property
    def parts(self) -> tuple[Feature, ...]:
        return self.of, self.minus

    def compute(self, view: View) -> Sequence[Values]:
        return [a - b for a, b in _paired(self.of.values(view), self.minus.values(view))]

    def problems(self, system: Any) -> Iterator[Problem]:
        yield from super().problems(system)
        yield from _matching(self, self.of, self.minus)


@dataclass(frozen=True)
class Cross(Composed):
    """Several categories together as one, hashed: `cross(column(user.country), bucket(age(video.made), edges=(1, 7)))`.

    Args:
        of: two or more categorical features of one column each, at most one of them with several values.
        buckets: how many hashed values there are.
    """

    of: tuple[Feature, ...]
    buckets: int = field(kw_only=True, default=1 << 20)

    @property
    def names(self) -> tuple[str, ...]:
        return ("_x_".join(part.names[0] for part in self.of) + "_cross",)

    @property
    def type(self) -> Literal["numeric", "categorical", "sequence", "training_only"]:
        return "categorical"

    @property
    def parts(self) -> tuple[Feature, ...]:
        return self.of

    def compute(self, view: View) -> Sequence[Values]:
        values = [part.values(view)[0] for part in self.of]
        wide = max(v.ndim for v in values)
        columns = np.broadcast_arrays(*(v[:, None] if v.ndim < wide else v for v in values))
        mixed = np.zeros(columns[0].shape, np.uint64)
        for column in columns:
            mixed = _mixed(mixed + column.astype(np.uint64) + _STEP)
        hashed = (mixed % np.uint64(self.buckets)).astype(np.int64)
        return (np.where(np.logical_or.reduce([c < 0 for c in columns]), -1, hashed),)

    def problems(self, system: Any) -> Iterator[Problem]:
        yield from super().problems(system)
        if len(self.of) < 2 or any(len(part.names) != 1 for part in self.of):
            fix = "give two or more features of one column each"
            yield Problem("bad-cross", f"cross of {len(self.of)} features", self.where, fix=fix)
        if self.buckets < 2:
            yield Problem("bad-cross", f"{self.buckets} buckets", self.where, fix="2 or more")
        sets = [f for f in self.of if any(kind.storage == "categories" for kind in _kinds(f))]
        if len(sets) > 1:
            what = f"`{sets[0].names[0]}` and `{sets[1].names[0]}` both have several values"
            yield Problem("two-sets", what, self.where, fix="cross one of them with single values")

    def _takes(self) -> tuple[str, ...]:
        return ("categorical",)


@dataclass(frozen=True)
class Overlap(Feature):
    """How much two sets have in common.

    Of two category columns: what both have over what either has (Jaccard index); unknown where one is empty. Of a
    column and the user's last k: the share of those that have a value in common with it; unknown where there are none.

    Args:
        of: a category column, of one or several values.
        to: another that draws on the same ids, or a `last` with such a column in `columns`.
    """

    of: Path
    to: Path | Last

    @property
    def names(self) -> tuple[str, ...]:
        return (f"{self.of.label}_overlap_{self.to.label if isinstance(self.to, Path) else self.to.names[0]}",)

    @property
    def parts(self) -> tuple[Feature, ...]:
        return (self.to,) if isinstance(self.to, Last) else ()

    @property
    def paths(self) -> tuple[Path, ...]:
        return (self.of, self.to) if isinstance(self.to, Path) else (self.of, *self.to.paths)

    @property
    def static(self) -> bool:
        return isinstance(self.to, Path)

    def aggregates(self) -> tuple[Aggregate, ...]:
        return self.to.aggregates() if isinstance(self.to, Last) else ()

    def compute(self, view: View) -> Sequence[Values]:
        mine = _as_set(view.path(self.of))
        if isinstance(self.to, Last):
            last, column = self.to.values(view)[0], self._column(self.to)
            return (_share(mine, last, along(column) if column else ""),)
        return (_jaccard(mine, _as_set(view.path(self.to))),)

    def problems(self, system: Any) -> Iterator[Problem]:
        yield from super().problems(system)
        if isinstance(self.to, Last) and self._column(self.to) is None:
            what = f"`{self.names[0]}`: the last {self.to.k} bring nothing along that draws on the ids of `{self.of}`"
            yield Problem("different-domains", what, self.where, fix="name such a column in last(..., columns=...)")
        elif isinstance(self.to, Path) and not self._shares(self.to):
            what = f"`{self.of}` and `{self.to}` draw on different ids"
            fix = 'declare both as categories(domain="...") or refer to one table'
            yield Problem("different-domains", what, self.where, "they never have a value in common", fix)

    def _shares(self, other: Path) -> bool:
        return self.of.kind.has_domain and other.kind.has_domain and other.domain == self.of.domain

    def _column(self, last: Last) -> Path | None:
        return next(filter(self._shares, last.columns), None)


def _kinds(feature: Feature) -> list[Kind]:
    return [p.kind for p in feature.paths] + [f.kind for f in feature.fields]


def _paired(first: Sequence[Any], second: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
    """One with each, when one side has one only."""
    size = max(len(first), len(second))
    return zip(first if len(first) > 1 else list(first) * size, second if len(second) > 1 else list(second) * size,
               strict=True)  # fmt: skip


def _matching(feature: Feature, first: Feature, second: Feature) -> Iterator[Problem]:
    sizes = {len(first.names), len(second.names)} - {1}
    if len(sizes) > 1:
        what = f"{len(first.names)} columns against {len(second.names)}"
        yield Problem("unequal-windows", what, feature.where, fix="declare the same windows on both sides, or one")


def _divided(above: Values, below: Values) -> Values:
    below = np.where(below == 0, np.nan, below)
    return np.asarray(above / below)


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's finaliser (Steele, Lea and Flood, OOPSLA 2014): near values get unrelated ones. uint64."""
    values = (values ^ (values >> np.uint64(30))) * _MIX[0]
    values = (values ^ (values >> np.uint64(27))) * _MIX[1]
    return values ^ (values >> np.uint64(31))


def _as_set(values: Values) -> Ints:
    """Categories as sets, int64 [n, M] padded with -1; columns that hold nothing are left out."""
    if values.ndim == 1:
        return values[:, None]
    used = max(int((values >= 0).any(axis=0).sum()), 1)
    return values[:, :used]


def _jaccard(one: Ints, two: Ints) -> Values:
    both = ((one[:, :, None] == two[:, None, :]) & (one[:, :, None] >= 0)).any(axis=2).sum(axis=1)
    sizes = (one >= 0).sum(axis=1), (two >= 0).sum(axis=1)
    either = sizes[0] + sizes[1] - both
    return np.where((sizes[0] > 0) & (sizes[1] > 0), both / np.maximum(either, 1), np.nan)


def _share(mine: Ints, last: Recent, column: str) -> Values:
    """The share of the last k, of those that are there, that share a value with each row's set."""
    theirs = last.columns[column]
    theirs = theirs[:, :, None] if theirs.ndim == 2 else theirs
    hit = np.zeros((max(len(mine), len(theirs)), theirs.shape[1]), bool)
    for m in range(mine.shape[1]):
        value = mine[:, m, None, None]
        hit |= ((theirs == value) & (value >= 0)).any(axis=2)
    there = (last.rows >= 0).sum(axis=1)
    known = (there > 0) & (mine >= 0).any(axis=1)
    return np.where(known, hit.sum(axis=1) / np.maximum(there, 1), np.nan)
