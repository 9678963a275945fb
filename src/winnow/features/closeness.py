"""How close two people are: whom both are tied to, and what they have in common."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, NamedTuple

import numpy as np

from winnow.core.errors import Problem
from winnow.core.time import days, short, to_us
from winnow.data.schema import Path
from winnow.data.ties import Bond
from winnow.features.aggregate import Aggregate
from winnow.features.batch import Ints
from winnow.features.declare import Feature, Key, Values, as_path, kept
from winnow.features.meaning import meaning, span, thing, things
from winnow.features.state import NEVER, State
from winnow.features.ties import BetweenTwo, made_and_undone, recents_of, times_of
from winnow.features.timeline import among
from winnow.features.view import View

_AT_ONCE = 1 << 21  # numbers of lists that are compared at once
_WAYS = ("common", "faded", "adamic_adar", "allocation", "jaccard")
Span = tuple[Path, Path]


class Shared(NamedTuple):
    """Those to whom both rows of some pairs are tied.

    Args:
        pair: which pair, int64 [m], ascending.
        row: who it is, int64 [m], ascending within a pair.
        since: when the younger of both ties was made, own time in microseconds, int64 [m].
    """

    pair: Ints
    row: Ints
    since: Ints


def degrees_of(bond: Bond) -> tuple[tuple[Aggregate, ...], tuple[Aggregate, ...]]:
    """How often a bond was made and ended, by each end that counts: of a bond that is not mutual by who made it."""
    made, undone = bond.ends(bond.made), bond.ends(bond.undone)
    ends = range(2 if bond.mutual else 1)
    return (
        tuple(Aggregate("sum", bond.made, (made[i],)) for i in ends),
        tuple(Aggregate("sum", bond.undone, (undone[i],)) for i in ends),
    )


def degrees(bond: Bond, state: State, rows: Ints, at: Ints) -> Ints:
    """How many ties of a bond rows have: those made less those ended, at least 0; int64 [n].

    Args:
        bond: the bond.
        state: history or live.
        rows: int64 [n].
        at: moments, int64 [1 or n].
    """
    if not len(rows):
        return np.zeros(0, np.int64)
    made, undone = ([state.windows([a], (rows,), at)[0] for a in some] for some in degrees_of(bond))
    return np.asarray(np.maximum(np.sum(made, axis=0) - np.sum(undone, axis=0), 0), np.int64)


def neighbours(bond: Bond, last: int, state: State, rows: Ints, at: Ints) -> Ints:
    """To whom rows were last tied, each once and in order, int64 [n, k or 2k]; -1 pads at the front.

    Args:
        bond: the bond.
        last: how many of the latest ties are looked at, from each end of a mutual bond.
        state: history or live.
        rows: int64 [n].
        at: moments, int64 [1 or n].
    """
    found = np.concatenate([state.recent(a, (rows,), at)[0] for a in recents_of(bond, last)], axis=1)
    found.sort(axis=1)
    found[:, 1:][found[:, 1:] == found[:, :-1]] = -1
    found.sort(axis=1)
    return np.asarray(found, np.int64)


def shared(bond: Bond, state: State, pairs: tuple[Ints, Ints], at: Ints, *, last: int) -> Shared:
    """Those to whom both rows of each pair are tied now, among the last of each.

    Args:
        bond: the bond.
        state: history or live.
        pairs: two int64, of 1 or n each.
        at: moments, int64 [1 or n].
        last: see `neighbours`.
    """
    mine, theirs = (neighbours(bond, last, state, *_alike(rows, at)) for rows in pairs)
    place, row = np.nonzero(theirs >= 0)
    row = theirs[place, row]
    if len(mine) == 1:
        hit = among(row, mine[0])
    elif len(theirs) == 1:
        place, row = np.nonzero(mine >= 0)
        row = mine[place, row]
        hit = among(row, theirs[0])
    else:
        size = 1 + max(int(mine.max(initial=0)), int(row.max(initial=0)))
        own = (np.arange(len(mine))[:, None] * size + mine)[mine >= 0]
        hit = among(place * size + row, own)
    place, row = place[hit], row[hit]
    moments = at if len(at) == 1 else at[place]
    ages = [made_and_undone(bond, state, rows if len(rows) == 1 else rows[place], row, moments) for rows in pairs]
    stands = np.logical_and.reduce([(made != NEVER) & (made > undone) for made, undone in ages])
    since = np.maximum(ages[0][0], ages[1][0])
    return Shared(place[stands], row[stands], since[stands])


def _alike(rows: Ints, at: Ints) -> tuple[Ints, Ints]:
    """Rows, one for each moment where there are several."""
    return (np.broadcast_to(rows, len(at)).copy() if len(at) > len(rows) else rows), at


@dataclass(frozen=True)
class Closeness(BetweenTwo):
    """How close two rows are by those to whom both are tied now, in five columns.

    `common`: how many there are; `faded`: the same, each counting half as much for every half-life since the younger
    of its two ties was made; `adamic_adar`: sum of 1 / ln(degree) (Adamic and Adar, 2003); `allocation`: sum of
    1 / degree (Zhou, Lü and Zhang, 2009); `jaccard`: of all to whom either is tied, the share to whom both are. The
    degree of somebody in common is at least 2.

    Args:
        k: how many of the latest ties of each are compared; at most 1,000.
        half_life: of `faded`.
    """

    k: int = field(kw_only=True, default=200)
    half_life: timedelta = field(kw_only=True, default=days(180))

    @property
    def names(self) -> tuple[str, ...]:
        told = {"faded": f"faded_{short(self.half_life)}"}
        return tuple(f"{self.stem}_{told.get(way, way)}" for way in _WAYS)

    @kept
    def aggregates(self) -> tuple[Aggregate, ...]:
        return (*recents_of(self.of, self.k), *times_of(self.of), *(a for some in degrees_of(self.of) for a in some))

    def compute(self, view: View) -> Sequence[Values]:
        one, two = (view.path(path) for path in self.paths)
        size = max(len(one), len(two), len(view.at))
        step, found = max(_AT_ONCE // (4 * self.k), 1), np.zeros((size, len(_WAYS)))
        for start in range(0, size, step):
            cut = slice(start, start + step)
            first, second, at = (part if len(part) == 1 else part[cut] for part in (one, two, view.at))
            found[cut] = self._of(view.state, first, second, at, min(step, size - start))
        return (found,)

    def _of(self, state: State, first: Ints, second: Ints, at: Ints, size: int) -> Values:
        both = shared(self.of, state, (first, second), at, last=self.k)
        moments = at if len(at) == 1 else at[both.pair]
        degree = np.maximum(degrees(self.of, state, both.row, moments), 2)
        faded = np.exp2(-np.maximum(moments - both.since, 0) / to_us(self.half_life))
        ways = [np.ones(len(degree)), faded, 1 / np.log(degree), 1 / degree]
        sums = [np.bincount(both.pair, weights=way, minlength=size)[:size] for way in ways]
        either = sum(degrees(self.of, state, *_alike(rows, at)) for rows in (first, second)) - sums[0]
        sums.append(np.minimum(sums[0] / np.maximum(either, 1), 1.0))
        return np.stack(sums, axis=1)

    def problems(self, system: Any) -> Iterator[Problem]:
        yield from super().problems(system)
        if len(set(self.of.tables)) > 1:
            what = f"`{self.of.name}` ties {' to '.join(self.of.tables)}: two rows of one table have nobody in common"
            yield Problem("unlike-ends", what, self.where, fix="use a bond within one table")


@dataclass(frozen=True)
class Degree(Feature):
    """How many ties of a bond a row has: those made less those ended.

    Args:
        of: the bond; of one that is not mutual the ties that the row made.
        by: the row.
    """

    of: Bond
    by: Key = field(kw_only=True)

    @property
    def names(self) -> tuple[str, ...]:
        return (f"{self.paths[0].label}_{self.of.name}_degree",)

    @property
    def paths(self) -> tuple[Path, ...]:
        return (as_path(self.by),)

    @kept
    def aggregates(self) -> tuple[Aggregate, ...]:
        return tuple(a for some in degrees_of(self.of) for a in some)

    def compute(self, view: View) -> Sequence[Values]:
        return (degrees(self.of, view.state, *_alike(view.path(self.paths[0]), view.at)).astype(np.float64),)

    def problems(self, system: Any) -> Iterator[Problem]:
        yield from super().problems(system)
        if self.paths[0].domain != self.of.tables[0]:
            what = f"`{self.of.name}` ties a `{self.of.tables[0]}`, and is asked about a `{self.paths[0].domain}`"
            yield Problem("unlike-ends", what, self.where, "no such row is ever tied", "give a row of its table")


@dataclass(frozen=True)
class Common(Feature):
    """How many values two category columns have in common, and for how many years at the same time.

    Args:
        of: a category column, of one or several values.
        to: another that draws on the same ids.
        during: first and last year of each, as number columns, where both hold one value: a second column tells how
            many years they share; one without a last year goes on.
    """

    of: Path
    to: Path
    during: tuple[Span, Span] | None = field(kw_only=True, default=None)

    @property
    def names(self) -> tuple[str, ...]:
        name = f"{self.of.label}_common_{self.to.label}"
        return (name,) if self.during is None else (name, f"{name}_years")

    @property
    def paths(self) -> tuple[Path, ...]:
        return (self.of, self.to, *(p for years in self.during or () for p in years))

    @property
    def static(self) -> bool:
        return True

    def compute(self, view: View) -> Sequence[Values]:
        one, two = (values.reshape(len(values), -1) for values in (view.path(self.of), view.path(self.to)))
        hit = (one[:, :, None] == two[:, None, :]) & (one[:, :, None] >= 0)
        count = hit.any(axis=2).sum(axis=1).astype(np.float64)
        if self.during is None:
            return (count,)
        (start, end), (begin, until) = ([np.asarray(view.path(p), np.float64) for p in years] for years in self.during)
        last = np.fmin(end, until)
        last = np.where(np.isnan(last), np.maximum(start, begin), last)  # both go on: a year at least is shared
        years = np.where(count > 0, np.maximum(last - np.maximum(start, begin) + 1, 0), 0.0)
        return count, years

    def problems(self, system: Any) -> Iterator[Problem]:
        yield from super().problems(system)
        if not (self.of.kind.has_domain and self.to.kind.has_domain and self.of.domain == self.to.domain):
            what = f"`{self.of}` and `{self.to}` draw on different ids"
            fix = 'declare both as categories(domain="...") or refer to one table'
            yield Problem("different-domains", what, self.where, "they never have a value in common", fix)
        for path in self.paths[2:]:
            if path.kind.storage != "number":
                what = f"`{path}` is {path.kind.storage}, not a year"
                yield Problem("not-a-number", what, self.where, fix="give years as number columns")


@meaning.register
def _(feature: Closeness, place: int) -> str:
    half = span(feature.half_life)
    both = f"those to whom `{feature.of.name}` ties both {things(feature.paths)} now"
    return {
        "common": f"number of {both}",
        "faded": f"number of {both}, each half as much for every {half} since its younger tie",
        "adamic_adar": f"sum over {both} of 1 / ln(how many ties each has)",
        "allocation": f"sum over {both} of 1 / how many ties each has",
        "jaccard": f"share of {both} among all to whom it ties either",
    }[_WAYS[place]]


@meaning.register
def _(feature: Degree, place: int) -> str:
    return f"number of times that `{feature.of.name}` tied {things(feature.paths)}, less those that it ended"


@meaning.register
def _(feature: Common, place: int) -> str:
    what = f"{thing(feature.of)} and {thing(feature.to)}"
    return f"years in common of {what}, where these are the same" if place else f"number of values in common of {what}"
