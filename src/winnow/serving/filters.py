"""Filters drop candidates that this person should not get now. They fail open, and the reply says so."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import numpy as np

from winnow.core.candidates import Candidates, Ints, Mask
from winnow.core.declare import Declared
from winnow.core.errors import Problem
from winnow.core.time import to_us
from winnow.data.schema import Events, Path
from winnow.features.aggregate import Aggregate, latest
from winnow.features.state import NEVER
from winnow.serving.kit import Kit
from winnow.serving.query import NO_ROWS, Query
from winnow.serving.trace import Trace


@dataclass(frozen=True, kw_only=True)
class Filter(Declared):
    """One reason to drop candidates."""

    @property
    def name(self) -> str:
        """How traces call it."""
        return type(self).__name__

    def aggregates(self) -> tuple[Aggregate, ...]:
        """The live state that it needs kept."""
        return ()

    def drops(self, query: Query, kit: Kit) -> Ints:
        """Rows that it would drop whoever proposed them, as far as the user alone tells."""
        return NO_ROWS

    def keep(self, candidates: Candidates, query: Query, kit: Kit) -> Mask:
        """Which candidates pass, bool [N]."""
        raise NotImplementedError


def last_of(events: Events, last: int) -> Aggregate:
    """The last items of such events per acting row: what the last role was, by the first."""
    acting, item = next(iter(events.refs)), list(events.refs)[-1]
    return Aggregate("recent", events, (Path(events.refs[acting]),), item, (), k=last)


@dataclass(frozen=True)
class Revived:
    """Items that a person was shown, and to which others have done something since.

    Args:
        seen: the events that show items.
        by: the events that revive them.
        last: how many shown items are looked at.
    """

    seen: Events
    by: Events
    last: int

    def aggregates(self) -> tuple[Aggregate, ...]:
        """The last shown items; the latest of those events by item, and by person and item."""
        acting, item = (Path(table) for table in (next(iter(self.by.refs.values())), list(self.by.refs.values())[-1]))
        return last_of(self.seen, self.last), latest(self.by, (item,)), latest(self.by, (acting, item))

    def rows(self, query: Query, kit: Kit) -> tuple[Ints, Ints]:
        """The items, int64 [n], and when somebody else last did so, int64 [n]; what the person does revives nothing."""
        shown, everybody, own = self.aggregates()
        rows, seen = kit.recents(shown, query)
        if not len(rows):
            return rows, seen
        (since,) = kit.since((everybody,), (rows,), query.at)
        (mine,) = kit.since((own,), (np.full(len(rows), query.profile), rows), query.at)
        new = (since > seen) & (since != mine)
        return rows[new], since[new]


@dataclass(frozen=True)
class Seen(Filter):
    """Drops the items of the user's last such events.

    Args:
        of: the events; impressions, as a rule.
        last: how many are remembered.
        again: events of others after which an item may come back; comments, for example.
    """

    of: Events
    last: int = field(kw_only=True, default=500)
    again: Events | None = field(kw_only=True, default=None)

    def to_data(self) -> dict[str, Any]:
        data = super().to_data()
        return data if self.again is not None else {k: v for k, v in data.items() if k != "again"}

    def aggregates(self) -> tuple[Aggregate, ...]:
        if self.again is not None:
            return Revived(self.of, self.again, self.last).aggregates()
        return (last_of(self.of, self.last),)

    def drops(self, query: Query, kit: Kit) -> Ints:
        seen = kit.recent(self.aggregates()[0], query)
        if self.again is None:
            return seen
        return np.setdiff1d(seen, Revived(self.of, self.again, self.last).rows(query, kit)[0])

    def keep(self, candidates: Candidates, query: Query, kit: Kit) -> Mask:
        return ~np.isin(candidates.rows, self.drops(query, kit))


@dataclass(frozen=True)
class Hidden(Filter):
    """Drops whatever shares a column's value with an item on which the user did such an event.

    `Hidden(hide, by=video.author)`: who hid one video sees no more of its author.

    Args:
        of: the events.
        by: the column; the item table itself for the item alone.
        last: how many events are remembered.
    """

    of: Events
    by: Path = field(kw_only=True)
    last: int = field(kw_only=True, default=100)

    def aggregates(self) -> tuple[Aggregate, ...]:
        return (last_of(self.of, self.last),)

    def keep(self, candidates: Candidates, query: Query, kit: Kit) -> Mask:
        disliked = kit.recent(self.aggregates()[0], query)
        if not len(disliked):
            return np.ones(len(candidates), bool)
        values = kit.view(query, disliked).path(self.by)
        hit = np.isin(kit.view(query, candidates.rows).path(self.by), values[values >= 0])
        return np.asarray(~hit.reshape(len(hit), -1).any(axis=1))


@dataclass(frozen=True)
class OlderThan(Filter):
    """Drops items whose time column lies further back than this; an unknown time passes.

    Args:
        age: the oldest that passes.
        of: the time column.
    """

    age: timedelta
    of: Path = field(kw_only=True)

    def problems(self, system: Any) -> Iterator[Problem]:
        if self.of.kind.storage != "time":
            yield Problem("bad-column", f"`{self.of}` is {self.of.kind.storage}", self.where, fix="use a time column")

    def keep(self, candidates: Candidates, query: Query, kit: Kit) -> Mask:
        since: Ints = kit.view(query, candidates.rows).path(self.of)
        return np.asarray((since == NEVER) | (since >= query.at - to_us(self.age)))


@dataclass(frozen=True)
class Asked(Filter):
    """Drops what the request itself rules out: its `exclude` and its `filter`."""

    def keep(self, candidates: Candidates, query: Query, kit: Kit) -> Mask:
        return query.wants(candidates.rows)


ASKED = Asked()


def known(parts: Sequence[Filter], query: Query, kit: Kit) -> Ints:
    """Rows that some filter is known to drop, sorted; a filter that fails here says so where it filters."""
    try:
        return np.unique(np.concatenate([NO_ROWS, *(part.drops(query, kit) for part in parts)]))
    except Exception:
        return NO_ROWS


def keep(parts: Sequence[Filter], candidates: Candidates, query: Query, kit: Kit, trace: Trace) -> Candidates:
    """What the request and every filter let through."""
    told = "what it would have dropped may be in the list"
    for part in (ASKED, *parts):
        candidates = trace.sift("filter", part.name, part.keep, candidates, query, kit, open_=True, told=told)
    return candidates
