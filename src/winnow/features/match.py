"""How an item matches a person's past: the same feature of the item and of those that the person met last."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from winnow.core.errors import Problem
from winnow.data.schema import Path
from winnow.features.across import Composed
from winnow.features.declare import Column, Feature, Values
from winnow.features.meaning import happenings, meaning, plural, things
from winnow.features.past import as_tests
from winnow.features.recent import Last
from winnow.features.view import View


@dataclass(frozen=True)
class Comparison(Composed):
    """Base of what compares an item with a person's last k items by a feature that is theirs alone.

    Args:
        of: the feature of an item: a column of it, its hour or weekday, its price band; a path stands for its column.
        to: the last k of a role that the item plays as well.
    """

    of: Feature
    to: Last

    def __post_init__(self) -> None:
        if isinstance(self.of, Path):
            object.__setattr__(self, "of", Column(self.of))

    @property
    def names(self) -> tuple[str, ...]:
        return (f"{self.of.names[0]}_{type(self).__name__.lower()}_{self.to.names[0]}",)

    @property
    def parts(self) -> tuple[Feature, ...]:
        return self.of, self.to

    def sides(self, view: View) -> tuple[Values, Values]:
        """The feature of the item, [1 or n, ...], and of the last k, [1 or n, k, ...]; missing where there is none."""
        rows = self.to.values(view)[0].rows
        past = view.others(self.of.paths[0].table, rows, named=f"{self.to.names[0]} {self.to.ttl}")
        mine, theirs = (np.asarray(self.of.values(seen)[0]) for seen in (view, past))
        return mine, theirs.reshape(*rows.shape, *theirs.shape[1:])

    def problems(self, system: Any) -> Iterator[Problem]:
        yield from super().problems(system)
        tables = {path.table.name for path in self.of.paths}
        if len(self.of.names) != 1 or tables != {self.to.of.domain} or self.of.fields or self.of.aggregates():
            what = f"`{self.of.names[0]}` is not what a `{self.to.of.domain}` is by itself"
            fix = f"give one feature of columns of `{self.to.of.domain}`"
            yield Problem("uncomparable", what, self.where, "the last ones have no such thing", fix)


@dataclass(frozen=True)
class Match(Comparison):
    """Share of a person's last k that are like the item: (alike + a) / (known + b); unknown where the item's own is.

    Args:
        of: the feature; of several values one in common is enough.
        prior: (a, b), as if b others with a alike had been met before.
    """

    prior: tuple[float, float] = field(kw_only=True, default=(0.0, 1.0))

    def compute(self, view: View) -> Sequence[Values]:
        mine, theirs = self.sides(view)
        mine, theirs = _as_sets(mine, 1), _as_sets(theirs, 2)
        known, alike = ~np.isnan(theirs).all(axis=2), np.zeros(1, bool)
        for value in np.moveaxis(mine, -1, 0):
            alike = alike | (theirs == value[:, None, None]).any(axis=2)
        (a, b), there = self.prior, ~np.isnan(mine).all(axis=1)
        return (np.where(there, (alike.sum(axis=1) + a) / (known.sum(axis=1) + b), np.nan),)

    def problems(self, system: Any) -> Iterator[Problem]:
        yield from super().problems(system)
        if self.prior[1] <= 0:
            what = f"prior {self.prior}"
            yield Problem("bad-prior", what, self.where, "who has no past would have no share", "(a, b) with b > 0")

    def _takes(self) -> tuple[str, ...]:
        return "numeric", "categorical", "sequence"


@dataclass(frozen=True)
class Deviation(Comparison):
    """How many spreads the item's number lies above the mean of a person's last k; unknown where either is.

    Args:
        of: the number.
        prior: (spread, weight), as if `weight` others with that standard deviation had been met before.
    """

    prior: tuple[float, float] = field(kw_only=True, default=(1.0, 1.0))

    def compute(self, view: View) -> Sequence[Values]:
        mine, theirs = self.sides(view)
        known = ~np.isnan(theirs)
        many, (spread, weight) = known.sum(axis=1), self.prior
        mean = _total(np.where(known, theirs, 0.0)) / np.maximum(many, 1)
        squares = _total(np.where(known, theirs - mean[:, None], 0.0) ** 2)
        apart = (mine - mean) / np.sqrt((squares + weight * spread**2) / (many + weight))
        return (np.where(many > 0, apart, np.nan),)

    def problems(self, system: Any) -> Iterator[Problem]:
        yield from super().problems(system)
        if min(self.prior) <= 0:
            why = "prices that were always the same have no spread of their own"
            yield Problem("bad-prior", f"prior {self.prior}", self.where, why, "(spread, weight), both above 0")

    def _takes(self) -> tuple[str, ...]:
        return "numeric", "sequence"


def _as_sets(values: Values, axes: int) -> Values:
    """Values behind some axes as sets along one more, float64, NaN for none; of categories -1 is none."""
    wide = values if values.dtype.kind == "f" else np.where(values < 0, np.nan, values)
    return wide.reshape(*values.shape[:axes], -1)


def _total(values: Values) -> Values:
    """Sums over the second axis, one after the other: the same however many rows are asked for."""
    summed: Values = np.cumsum(values, axis=1)[:, -1]
    return summed


def _past(last: Last) -> str:
    events = happenings(last.of.events, as_tests(last.conditions))
    return f"last {last.k} {plural(last.of.name)} of the {events} of {things(last.paths)}"


@meaning.register
def _(feature: Match, place: int) -> str:
    (a, b), alike = feature.prior, meaning(feature.of, 0)
    prior = f"smoothed as if {b:g} more with {a:g} alike were among them"
    return f"share of the {_past(feature.to)} that have the same as the item ({alike}), {prior}"


@meaning.register
def _(feature: Deviation, place: int) -> str:
    (spread, weight), of = feature.prior, meaning(feature.of, 0)
    prior = f"smoothed as if {weight:g} more with a spread of {spread:g} were among them"
    return f"spreads by which {of}, lies above the mean of the {_past(feature.to)}, {prior}"
