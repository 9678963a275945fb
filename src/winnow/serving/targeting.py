"""The ads that a request may be shown: their targeting, matched by an index, and how often a person has seen them."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from winnow.core.candidates import Candidates, Doubles, Ints, Mask
from winnow.core.declare import Declared, digest
from winnow.core.errors import Problem
from winnow.core.time import days
from winnow.data.schema import EventField, Events, Path
from winnow.features.aggregate import Aggregate
from winnow.features.state import State
from winnow.features.view import Moments, View
from winnow.market.targeting import Between, Demand, NoneOf, OneOf, Targeting
from winnow.serving.auction import micros
from winnow.serving.filters import Filter
from winnow.serving.kit import Kit
from winnow.serving.query import NO_ROWS, Query
from winnow.serving.sources import Proposal, Source, Told, top

_HOUR = "hour of the day"
_HOUR_US = 3_600_000_000
_FEW = 20  # showings before the clicks on an ad count as much as the mean of all


@dataclass(frozen=True, kw_only=True)
class Aim(Declared):
    """One thing that advertisers may ask of a request. What is unknown about a request meets no demand."""

    @property
    def paths(self) -> tuple[Path, ...]:
        """The columns of the ads that say what is asked."""
        raise NotImplementedError

    def demand(self, columns: Sequence[NDArray[Any]]) -> Demand:
        """What N ads ask, from their columns."""
        raise NotImplementedError

    def asked(self, query: Query, kit: Kit) -> tuple[str, Any]:
        """The attribute of a request, and its value."""
        raise NotImplementedError


@dataclass(frozen=True)
class Wants(Aim):
    """One of some values: `Wants(user.country, ad.campaign.countries)`.

    Args:
        of: a category column of the user, or a category field of the impression.
        values: a category column of the ads that draws on the same domain; without a value an ad wants everyone.
    """

    of: Path | EventField
    values: Path

    @property
    def paths(self) -> tuple[Path, ...]:
        return (self.values,)

    def problems(self, system: Any) -> Iterator[Problem]:
        if self.of.domain != self.values.domain:
            what = f"`{self.values}` draws on `{self.values.domain}`, the request on `{self.of.domain}`"
            yield Problem("unlike-domains", what, self.where, "no value would ever match",
                          "declare both as category(domain=...)")  # fmt: skip

    def demand(self, columns: Sequence[NDArray[Any]]) -> Demand:
        return OneOf(_name(self.of), columns[0])

    def asked(self, query: Query, kit: Kit) -> tuple[str, Any]:
        return _name(self.of), _value(self.of, query, kit)


@dataclass(frozen=True)
class Bars(Wants):
    """None of some values; the arguments are those of `Wants`. Who is not known to have another value is barred."""

    def demand(self, columns: Sequence[NDArray[Any]]) -> Demand:
        return NoneOf(_name(self.of), columns[0])


@dataclass(frozen=True)
class Within(Aim):
    """A number between two, both included: `Within(user.age, ad.campaign.age_from, ad.campaign.age_to)`.

    Args:
        of: a number column of the user, or a number field of the impression.
        low, high: number columns of the ads; missing for no bound.
    """

    of: Path | EventField
    low: Path
    high: Path

    @property
    def paths(self) -> tuple[Path, ...]:
        return self.low, self.high

    def problems(self, system: Any) -> Iterator[Problem]:
        for part in (self.of, self.low, self.high):
            if part.kind.storage != "number":
                yield Problem("bad-column", f"`{part}` is {part.kind.storage}", self.where, fix="use a number")

    def demand(self, columns: Sequence[NDArray[Any]]) -> Demand:
        # Bounds that no number fits bar everyone, and only the ad that has them.
        low, high = columns
        return Between(_name(self.of), np.where(low > high, np.inf, low), np.where(low > high, np.inf, high))

    def asked(self, query: Query, kit: Kit) -> tuple[str, Any]:
        value = _value(self.of, query, kit)
        return _name(self.of), None if value is None else float(np.ravel(value)[0])


@dataclass(frozen=True)
class Hours(Aim):
    """An hour of the day, UTC: from the start of the first to the end of the last, also across midnight.

    Args:
        first, last: number columns of the ads, 0 to 23; either missing for all day.
    """

    first: Path
    last: Path

    @property
    def paths(self) -> tuple[Path, ...]:
        return self.first, self.last

    def demand(self, columns: Sequence[NDArray[Any]]) -> Demand:
        known = np.isfinite(columns[0]) & np.isfinite(columns[1])
        first, last = (np.where(known, c, 0).astype(np.int64) for c in columns)
        span = np.where(known, (last - first) % 24 + 1, 0)
        hours = np.arange(24)
        return OneOf(_HOUR, np.where(hours < span[:, None], (first[:, None] + hours) % 24, -1))

    def asked(self, query: Query, kit: Kit) -> tuple[str, Any]:
        return _HOUR, query.at // _HOUR_US % 24


@dataclass(frozen=True)
class Eligible(Source):
    """The ads whose targeting a request meets, those first that promise most: bid x the click rate of the ad so far.

    The index over all ads is made in the background, anew when targeting changed.

    Args:
        aims: what advertisers may ask.
        bid: a number column: micros for a click.
        seen, clicks: events whose counts by ad give the click rate.
        window: over which they are counted.
    """

    aims: Sequence[Aim]
    bid: Path = field(kw_only=True)
    seen: Events = field(kw_only=True)
    clicks: Events = field(kw_only=True)
    limit: int = field(kw_only=True, default=300)
    window: timedelta = field(kw_only=True, default=days(7))

    def aggregates(self) -> tuple[Aggregate, ...]:
        item = Path(list(self.seen.refs.values())[-1])
        return tuple(Aggregate("sum", of, (item,), None, (), self.window) for of in (self.seen, self.clicks))

    def index(self, rows: Ints, state: State, at: int) -> "Ads":
        item = self.bid.table.name
        view = View(Moments(np.array([at]), {item: rows}), state, {item: item})
        columns = [[view.path(path) for path in aim.paths] for aim in self.aims] if len(rows) else []
        seen, clicks = state.windows(self.aggregates(), (rows,), np.array([at])) if len(rows) else (rows, rows)
        rate = (clicks.sum() + 1) / (seen.sum() + 100)
        promise = micros(view.path(self.bid)) * (clicks + _FEW * rate) / (seen + _FEW) if len(rows) else rows
        return Ads(rows, promise.astype(np.float64), self._targeting(rows, columns))

    def propose(self, query: Query, kit: Kit) -> Proposal:
        ads: Ads = kit.catalogue.indexes[self.name]
        places = ads.targeting.match(dict(aim.asked(query, kit) for aim in self.aims))
        rows = ads.rows[places]
        fit = query.wants(rows) & ~np.isin(rows, query.skip) & (ads.promise[places] > 0)
        return top(rows[fit], ads.promise[places[fit]], self.limit)

    def tell(self, rows: Ints, query: Query, kit: Kit) -> list[Told]:
        return [Told("source", "an advertiser asked for people, places or hours like these")] * len(rows)

    def _targeting(self, rows: Ints, columns: Sequence[Sequence[NDArray[Any]]]) -> Targeting:
        """The index; the last one, when nothing has changed."""
        demands = [aim.demand(own) for aim, own in zip(self.aims, columns, strict=False)]
        arrays = [a for d in demands for a in ((d.low, d.high) if isinstance(d, Between) else (d.values,))]
        stamp = hashlib.blake2b(digest(self).encode() + rows.tobytes(), digest_size=16)
        for array in arrays:
            stamp.update(np.ascontiguousarray(array).tobytes())
        key, known = stamp.digest(), _LAST.get(self.name)
        if known is None or known[0] != key:
            _LAST[self.name] = known = (key, Targeting(demands, len(rows)))
        return known[1]


_LAST: dict[str, tuple[bytes, Targeting]] = {}


@dataclass(frozen=True, eq=False)
class Ads:
    """The ads that may be proposed.

    Args:
        rows: int64 [N].
        promise: bid x click rate so far, float64 [N].
        targeting: of the N ads.
    """

    rows: Ints
    promise: Doubles
    targeting: Targeting


@dataclass(frozen=True)
class Capped(Filter):
    """Drops what a person has been shown often enough: at most so many times in a window.

    Args:
        of: the events that show items.
        by: what is counted together: `ad.campaign`, for example.
        most: how many times.
        window: in how long.
    """

    of: Events
    by: Path = field(kw_only=True)
    most: int = field(kw_only=True, default=3)
    window: timedelta = field(kw_only=True, default=days(1))

    @property
    def name(self) -> str:
        return f"Capped {self.by.columns[-1] if self.by.columns else self.by.table.name}"

    def problems(self, system: Any) -> Iterator[Problem]:
        if self.most < 1:
            yield Problem("bad-limit", f"most is {self.most}", self.where, "nothing would be shown", "1 or more")
        if self.by.kind.storage not in ("category", "ref"):
            yield Problem("bad-column", f"`{self.by}` is {self.by.kind.storage}", self.where, fix="use a category")

    def aggregates(self) -> tuple[Aggregate, ...]:
        user = Path(next(iter(self.of.refs.values())))
        return (Aggregate("sum", self.of, (user, self.by), None, (), self.window),)

    def keep(self, candidates: Candidates, query: Query, kit: Kit) -> Mask:
        groups = kit.view(query, candidates.rows).path(self.by)
        (times,) = kit.since(self.aggregates(), (np.full(len(groups), query.user), groups), query.at)
        return np.asarray((times < self.most) | (groups < 0))


def _name(of: Path | EventField) -> str:
    return str(of) if isinstance(of, Path) else f"{of.events.name}.{of.name}"


def _value(of: Path | EventField, query: Query, kit: Kit) -> Any:
    if isinstance(of, EventField):
        return query.context.get(of.name)
    return kit.view(query, NO_ROWS).path(of)[0]
