"""Sources that follow ties: the newest items of those a person is tied to, and items that are talked about again."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, ClassVar

import numpy as np

from winnow.core.candidates import Ints, Mask
from winnow.core.declare import Declared
from winnow.core.errors import Problem
from winnow.core.time import days, to_us
from winnow.data.schema import Events, Path
from winnow.data.ties import Bond
from winnow.features.aggregate import Aggregate
from winnow.features.state import NEVER, State
from winnow.features.ties import recents_of, times_of
from winnow.serving.filters import Revived
from winnow.serving.kit import Kit
from winnow.serving.query import Query
from winnow.serving.sources import Proposal, Source, Told

_TIED = {"join": "joined", "befriend": "are friends with"}
_HOUR_US = 3_600_000_000


@dataclass(frozen=True)
class Circle(Declared):
    """Those to whom a person is tied now: `Circle(following, by=post.author)`.

    Args:
        bond: what ties them; the person made it.
        by: the column of the items that names who is tied.
        but: bonds by which the person keeps somebody away: items of such take nobody's place. That none of them is
            shown is for policy to see to.
        last: how many of the latest ties are looked at when items are looked for; at most 1,000.
    """

    bond: Bond
    by: Path = field(kw_only=True)
    but: Sequence[Bond] = field(kw_only=True, default=())
    last: int = field(kw_only=True, default=500)

    def problems(self, system: Any) -> Iterator[Problem]:
        if self.by.domain != self.bond.tables[1]:
            what = (
                f"`{self.by}` names rows of `{self.by.domain}`, and `{self.bond.name}` ties to `{self.bond.tables[1]}`"
            )
            yield Problem("unlike-ends", what, self.where, "no item would be of the circle", "use another column")

    def aggregates(self) -> tuple[Aggregate, ...]:
        """The live state that it needs kept."""
        apart = [a for bond in self.but for a in times_of(bond)]
        return (*recents_of(self.bond, self.last), *times_of(self.bond), *apart)

    def members(self, query: Query, kit: Kit) -> Ints:
        """The rows that are tied to the person, as far as they are among the latest: int64 [m]."""
        lists = [kit.recent(a, query) for a in recents_of(self.bond, self.last)]
        found = np.unique(np.concatenate(lists))
        found = found[kit.tied(self.bond, query.profile, found, query.at)]
        for bond in self.but:
            found = found[~kit.tied(bond, query.profile, found, query.at, doubt=True)]
        return found

    def holds(self, rows: Ints, query: Query, kit: Kit) -> Mask:
        """Which items are of somebody to whom the person is tied, however long ago: bool [n]."""
        return kit.tied(self.bond, query.profile, kit.view(query, rows).path(self.by), query.at)


@dataclass(frozen=True, eq=False)
class ByOwner:
    """Items under those they belong to, newest first.

    Args:
        starts: where each owner's items begin, int64 [O + 1].
        rows: items, int64 [n].
        times: when each was made, microseconds, int64 [n].
    """

    starts: Ints
    rows: Ints
    times: Ints

    @classmethod
    def of(cls, owners: Ints, rows: Ints, times: Ints) -> "ByOwner":
        """From items in any order; those that belong to nobody (-1) are left out."""
        order = np.lexsort((rows, -times, owners))
        order = order[owners[order] >= 0]
        starts = np.searchsorted(owners[order], np.arange(int(owners.max(initial=-1)) + 2))
        return cls(starts, rows[order], times[order])

    def newest(self, owners: Ints, depth: int) -> tuple[Ints, Ints]:
        """The newest items of each owner, at most `depth` of each: rows and times, newest first."""
        known = owners[owners < len(self.starts) - 1]
        first = self.starts[known]
        many = np.minimum(self.starts[known + 1] - first, depth)
        ends = np.cumsum(many)
        places = np.arange(int(many.sum())) - np.repeat(ends - many, many) + np.repeat(first, many)
        rows, times = self.rows[places], self.times[places]
        order = np.lexsort((rows, -times))
        return rows[order], times[order]


@dataclass(frozen=True)
class Of(Source):
    """The newest items of a circle: posts of those whom a person follows, of friends, of groups.

    Args:
        circle: of whom.
        newest: the time column by which items are new.
        depth: items looked at of each.
    """

    circle: Circle
    newest: Path = field(kw_only=True)
    limit: int = field(kw_only=True, default=300)
    depth: int = field(kw_only=True, default=20)
    chosen: ClassVar[bool] = True

    @property
    def name(self) -> str:
        return f"Of_{self.circle.bond.name}"

    def aggregates(self) -> tuple[Aggregate, ...]:
        return self.circle.aggregates()

    def index(self, rows: Ints, state: State, at: int) -> ByOwner:
        """The items by owner, made in the background; an item shows when that was last made, within seconds."""
        if not len(rows):
            return ByOwner.of(rows, rows, rows)
        moment = np.array([at])
        owners = state.column(self.circle.by.table, self.circle.by.columns[-1], rows, moment).astype(np.int64)
        times = state.column(self.newest.table, self.newest.columns[-1], rows, moment).astype(np.int64)
        there = (times != NEVER) & (times <= at)
        return ByOwner.of(owners[there], rows[there], times[there])

    def propose(self, query: Query, kit: Kit) -> Proposal:
        index: ByOwner = kit.catalogue.indexes[self.name]
        rows, times = index.newest(self.circle.members(query, kit), self.depth)
        return query.first(rows, hours_ago(times, query.at), self.limit)

    def tell(self, rows: Ints, query: Query, kit: Kit) -> list[Told]:
        column = self.circle.by.columns[-1]
        tied = _TIED.get(self.circle.bond.name, self.circle.bond.name)
        return [Told("tie", f"its {column} is one you {tied}", column=column)] * len(rows)


@dataclass(frozen=True)
class Discussed(Source):
    """Items that a person was shown, and about which others have said more since.

    Args:
        seen: the events that show items; impressions.
        of: the events that revive them; comments.
        last: how many shown items are looked at.
        within: how far back the newest such event may lie.
    """

    seen: Events
    of: Events = field(kw_only=True)
    last: int = field(kw_only=True, default=300)
    within: timedelta = field(kw_only=True, default=days(3))
    limit: int = field(kw_only=True, default=50)

    @property
    def revived(self) -> Revived:
        """How it knows."""
        return Revived(self.seen, self.of, self.last)

    def aggregates(self) -> tuple[Aggregate, ...]:
        return self.revived.aggregates()

    def propose(self, query: Query, kit: Kit) -> Proposal:
        rows, since = self.revived.rows(query, kit)
        new = since >= query.at - to_us(self.within)
        order = np.lexsort((rows[new], -since[new]))
        rows, since = rows[new][order], since[new][order]
        return query.first(rows, hours_ago(since, query.at), self.limit)

    def tell(self, rows: Ints, query: Query, kit: Kit) -> list[Told]:
        return [Told("talk", "there are new comments since you saw it")] * len(rows)


def hours_ago(times: Ints, at: int) -> Any:
    """Minus how long ago something was, in hours, float32 [n]: the later the higher."""
    return (-(at - times) / _HOUR_US).astype(np.float32)
