"""Rules for what has a time, a place for so many, and people who can be at one place only."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, ClassVar

import numpy as np

from winnow.core.candidates import Candidates, Ints, Mask
from winnow.core.errors import Problem
from winnow.core.time import hours, to_us
from winnow.data.schema import Events, Path
from winnow.data.ties import Bond
from winnow.features.aggregate import Aggregate
from winnow.features.room import Taken, bad_room, left, taken_of
from winnow.features.state import NEVER
from winnow.features.ties import times_of
from winnow.serving.filters import last_of
from winnow.serving.kit import Kit, Steady
from winnow.serving.policy import Rule
from winnow.serving.query import Query


@dataclass(frozen=True)
class Future(Rule):
    """Shows only what has yet to begin; never what has no beginning that anybody knows.

    Args:
        of: a time column of the items.
        margin: how long before it begins an item is still shown.
    """

    of: Path
    margin: timedelta = field(kw_only=True, default=timedelta(0))

    def problems(self, system: Any) -> Iterator[Problem]:
        if self.of.kind.storage != "time":
            yield Problem("bad-column", f"`{self.of}` is {self.of.kind.storage}", self.where, fix="use a time column")

    def admit(self, candidates: Candidates, query: Query, kit: Kit) -> Mask:
        starts: Ints = kit.view(query, candidates.rows).path(self.of)
        return np.asarray((starts != NEVER) & (starts > query.now + to_us(self.margin)))


@dataclass(frozen=True)
class RoomLeft(Rule):
    """Never shows what is full: whose capacity is taken up by what is booked and not given back.

    Args:
        of: a number column of the items: how many have room.
        taken: what takes room: see the feature `room`.
        least: how many spots must be left.
        unknown: whether an item may be shown of which no capacity is known: most have none.
    """

    of: Path
    taken: Taken = field(kw_only=True)
    least: int = field(kw_only=True, default=1)
    unknown: bool = field(kw_only=True, default=True)

    def aggregates(self) -> tuple[Aggregate, ...]:
        return taken_of(Path(self.of.table), self.taken)

    def problems(self, system: Any) -> Iterator[Problem]:
        yield from bad_room(self.of, self.taken, self.where)

    def admit(self, candidates: Candidates, query: Query, kit: Kit) -> Mask:
        view = kit.view(query, candidates.rows)
        capacity = np.asarray(view.path(self.of), np.float64)
        if isinstance(self.taken, Path):
            spots = left(capacity, [view.path(self.taken)])
        else:
            spots = left(capacity, kit.since(self.aggregates(), (candidates.rows,), query.at))
        return np.where(np.isnan(capacity), self.unknown, spots >= self.least)


@dataclass(frozen=True)
class NoClash(Rule):
    """Never shows what happens while something does to which the person is going; so neither that thing itself.

    Args:
        starts: a time column of the items.
        ends: when they end; None where nobody says. An item of which it is not known takes `lasts`.
        going: the bond, or the event, by which a person is going to an item; of a bond what is cancelled is free again.
        lasts: how long items take whose end nobody knows.
        last: how many things to which the person is going are looked at, the latest by when they said so; at most
            1,000. Somebody to whom as many are still to come is shown nothing: there may be more that are not seen.
    """

    starts: Path
    ends: Path | None
    going: Bond | Events
    lasts: timedelta = field(kw_only=True, default=hours(2))
    last: int = field(kw_only=True, default=200)
    personal: ClassVar[bool] = True

    @property
    def events(self) -> Events:
        """What says that a person is going."""
        return self.going.made if isinstance(self.going, Bond) else self.going

    def aggregates(self) -> tuple[Aggregate, ...]:
        stands = times_of(self.going) if isinstance(self.going, Bond) else ()
        return (last_of(self.events, self.last), *stands)

    def problems(self, system: Any) -> Iterator[Problem]:
        for path in (self.starts, *([self.ends] if self.ends else [])):
            if path.kind.storage != "time":
                yield Problem("bad-column", f"`{path}` is {path.kind.storage}", self.where, fix="use a time column")
        ends = [table.name for table in self.events.refs.values()]
        if (ends[0], ends[-1]) != (system.labels.user.name, system.labels.item.name):
            what = f"`{self.events.name}` ties {' to '.join(ends)}"
            yield Problem("unlike-ends", what, self.where, "nobody would be found to be going", "use another event")

    def admit(self, candidates: Candidates, query: Query, kit: Kit) -> Mask:
        starts, ends = self._spans(candidates.rows, query, kit)
        mine_starts, mine_ends = self._spans(self._standing(query, kit), query, kit)
        if len(mine_starts) == self.last and (mine_ends > query.now).all():
            raise LookupError(f"somebody is going to more than {self.last} things: raise `last`")
        clash = (mine_starts < ends[:, None]) & (starts[:, None] < mine_ends) & (mine_starts != NEVER)
        return np.asarray((starts != NEVER) & ~clash.any(axis=1))

    def _standing(self, query: Query, kit: Kit) -> Ints:
        """Items to which the person is going, int64 [m]: what they said counts whether or not it may shape the list."""
        if lost := kit.catalogue.lost & {f"pairs:{a.subject}" for a in self.aggregates()}:
            raise LookupError(f"state of pairs was lost in {', '.join(sorted(lost))}: raise `features.pairs`")
        listed, _ = Steady(kit.live).recent(self.aggregates()[0], (np.array([query.user]),), np.array([query.at]))
        rows = np.unique(listed[listed >= 0])
        if isinstance(self.going, Bond):
            rows = rows[kit.tied(self.going, query.user, rows, query.at, doubt=True)]
        return rows

    def _spans(self, rows: Ints, query: Query, kit: Kit) -> tuple[Ints, Ints]:
        """When items begin and end, int64 [n] each; NEVER where nobody knows when they begin."""
        if not len(rows):
            return rows, rows
        view = kit.view(query, rows)
        starts: Ints = view.path(self.starts)
        usual = starts + np.where(starts == NEVER, 0, to_us(self.lasts))
        ends = usual if self.ends is None else view.path(self.ends)
        return starts, np.where(ends > starts, ends, usual)
