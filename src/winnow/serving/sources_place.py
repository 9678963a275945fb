"""Sources of what is near and what is soon: `from winnow import places`."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from winnow.core.candidates import Ints
from winnow.core.errors import Problem
from winnow.data.schema import Path
from winnow.features.aggregate import Aggregate
from winnow.features.calendar import HOUR_US
from winnow.features.place import TRAVEL, Place, Spot, bad_degrees, kilometres, spot
from winnow.features.state import NEVER, State
from winnow.features.view import Moments, View
from winnow.retrieval.cells import Spots
from winnow.serving.kit import Kit
from winnow.serving.query import NO_ROWS, Query
from winnow.serving.sources import SPARE, Proposal, Source, Told, top

__all__ = ["TRAVEL", "Near", "Upcoming"]

_NOTHING = np.empty(0, np.int64), np.empty(0, np.float32)
_CLOSE_KM = 2.0  # below, people are not told how far it is
_STEP_KM = 5  # else they are told in steps of so many


@dataclass(frozen=True)
class Near(Source):
    """What is near to where a person is, and soon: the nearest items that have not begun, sooner ones first.

    An item's score is minus (kilometres + `per_day` x days until it starts). Of the nearest, at least `depth` are
    looked at, or all within `km`.

    Args:
        home: where the person is: columns of theirs, fields of the request (a traveller), the centre of where they
            went, or the first of those that is known (`w.Whereabouts`). Where none is, nothing is proposed.
        venue: where items are.
        starts: the time column of the items by which they are soon; those without one are left out.
        km: how far is too far.
        per_day: how many kilometres of way a day of waiting weighs.
        depth: how many of the nearest are looked at.
    """

    home: Spot
    venue: Place
    starts: Path
    km: float = field(kw_only=True, default=50.0)
    per_day: float = field(kw_only=True, default=2.0)
    depth: int = field(kw_only=True, default=2_000)

    def __post_init__(self) -> None:
        for name in ("home", "venue"):
            object.__setattr__(self, name, spot(getattr(self, name)))

    def aggregates(self) -> tuple[Aggregate, ...]:
        return self.home.state

    def problems(self, system: Any) -> Iterator[Problem]:
        yield from super().problems(system)
        yield from bad_degrees(self.home, self.where)
        yield from bad_degrees(self.venue, self.where)
        yield from bad_start(self.starts, self.where)
        item = system.labels.item.name
        if any(path.table.name != item for path in (*self.venue.paths, self.starts)) or self.venue.fields:
            what = f"{self.venue.told} is not where a `{item}` is"
            yield Problem("bad-place", what, self.where, fix=f"give number columns of `{item}`")
        if not (self.km > 0 and self.per_day >= 0 and self.depth >= 1):
            what = f"km {self.km}, per_day {self.per_day}, depth {self.depth}"
            yield Problem("bad-limit", what, self.where, fix="km above 0, per_day 0 or more, depth 1 or more")

    def index(self, rows: Ints, state: State, at: int) -> Spots:
        """The items that have not begun by cell, made in the background; those that begin are left out at once."""
        view = View(Moments(np.array([at]), {"item": rows}), state, {self.starts.table.name: "item"})
        starts = view.path(self.starts)
        lat, lon = self.venue.degrees(view)
        alive = (starts != NEVER) & (starts > at)
        return Spots.of(rows[alive], lat[alive], lon[alive], starts[alive])

    def propose(self, query: Query, kit: Kit) -> Proposal:
        spots: Spots = kit.catalogue.indexes[self.name]
        lat, lon = (float(part[0]) for part in self.home.degrees(kit.view(query, NO_ROWS)))
        if np.isnan(lat):
            return _NOTHING
        enough = self.depth + len(query.skip) + len(query.exclude)
        found = spots.around(lat, lon, km=self.km, after=query.now, enough=enough)
        days = (found.times - query.now) / (24 * HOUR_US)
        rows, scores = found.rows, -(found.km + self.per_day * days)
        if query.allowed is not None:  # what the request rules out takes nobody's place
            wanted = query.wants(rows)
            rows, scores = rows[wanted], scores[wanted]
        spare = self.limit + len(query.skip) + len(query.exclude)
        return query.first(*top(rows, scores, spare), self.limit)

    def tell(self, rows: Ints, query: Query, kit: Kit) -> list[Told]:
        lat, lon = self.home.degrees(kit.view(query, NO_ROWS))
        to = self.venue.degrees(kit.view(query, rows))
        return [Told("near", _far(km)) for km in kilometres((lat, lon), to).tolist()]


@dataclass(frozen=True)
class Upcoming(Source):
    """The items that begin soonest.

    Args:
        starts: the time column.
    """

    starts: Path
    limit: int = field(kw_only=True, default=50)

    def problems(self, system: Any) -> Iterator[Problem]:
        yield from super().problems(system)
        yield from bad_start(self.starts, self.where)

    def refresh(self, rows: Ints, state: State, at: int) -> Proposal:
        if not len(rows):
            return top(rows, rows, 0)
        view = View(Moments(np.array([at]), {"item": rows}), state, {self.starts.table.name: "item"})
        starts = view.path(self.starts)
        alive = (starts != NEVER) & (starts > at)
        return top(rows[alive], (at - starts[alive]) / HOUR_US, self.limit * SPARE)

    def propose(self, query: Query, kit: Kit) -> Proposal:
        rows, scores = kit.catalogue.lists[self.name]
        if not len(rows):
            return rows, scores
        ahead = kit.view(query, rows).path(self.starts) > query.now
        return query.first(rows[ahead], scores[ahead], self.limit)

    def tell(self, rows: Ints, query: Query, kit: Kit) -> list[Told]:
        return [Told("soon", "soon")] * len(rows)


def bad_start(starts: Path, where: str) -> Iterator[Problem]:
    """What cannot be a beginning."""
    if starts.kind.storage != "time":
        yield Problem("bad-column", f"`{starts}` is {starts.kind.storage}", where, fix="use a time column")


def _far(km: float) -> str:
    if np.isnan(km):
        return "near"
    return "near you" if km < _CLOSE_KM else f"about {max(round(km / _STEP_KM), 1) * _STEP_KM} km away"
