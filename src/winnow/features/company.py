"""Who else is there: how many of those to whom a person is tied have done an event to the item."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from winnow.core.errors import Problem
from winnow.data.schema import Events, Path
from winnow.data.ties import Bond
from winnow.features.aggregate import Aggregate
from winnow.features.batch import Ints
from winnow.features.declare import Feature, Key, Values, as_path, kept
from winnow.features.meaning import meaning, plural, thing
from winnow.features.past import subject
from winnow.features.ties import recents_of, standing, times_of
from winnow.features.view import View

_TOGETHER = 1 << 22  # numbers compared at once
_ROW_BITS = 40  # of a row number


@dataclass(frozen=True)
class Company(Feature):
    """How many of those to whom a person is tied have done an event to the item: friends who are going.

    Looked for among the last rows to which the person was tied and the last that did the event to the item; of those
    found it is then asked whether the tie stands, and, where the event is one that makes a bond, whether that does.

    Args:
        friends: what ties the person to others.
        of: the event, or the bond that it makes: `going`, which cancelling ends.
        by: the item, or what names rows of a column of it: `event.host` for friends who went to this host's events.
        k: how many ties of the person are looked at.
        last: how many events to the item are looked at.
    """

    friends: Bond
    of: Events | Bond
    by: Key = field(kw_only=True)
    k: int = field(kw_only=True, default=200)
    last: int = field(kw_only=True, default=100)

    @property
    def events(self) -> Events:
        """What they have done."""
        return self.of.made if isinstance(self.of, Bond) else self.of

    @property
    def person(self) -> Path:
        """Whose friends they are."""
        return Path(next(iter(self.friends.made.refs.values())))

    @property
    def names(self) -> tuple[str, ...]:
        return (f"{subject(self.paths)}_{self.friends.name}_{self.events.name}_company",)

    @property
    def paths(self) -> tuple[Path, ...]:
        return self.person, as_path(self.by)

    @property
    def guests(self) -> Aggregate:
        """The last who did it to the item."""
        return Aggregate("recent", self.events, (as_path(self.by),), next(iter(self.events.refs)), (), k=self.last)

    @kept
    def aggregates(self) -> tuple[Aggregate, ...]:
        going = times_of(self.of) if isinstance(self.of, Bond) and self._ends else ()
        return (*recents_of(self.friends, self.k), *times_of(self.friends), self.guests, *going)

    @property
    def _ends(self) -> bool:
        """Whether what they have done can be undone, and is asked about item by item."""
        return isinstance(self.of, Bond) and not as_path(self.by).columns

    def compute(self, view: View) -> Sequence[Values]:
        asked = (*(view.path(path) for path in self.paths), view.at)
        size, shared = max(map(len, asked)), max(_TOGETHER // (self.k + self.last), 1)
        counts = [np.empty(0)]
        for start in range(0, size, shared):
            part = [one if len(one) == 1 else one[start : start + shared] for one in asked]
            counts.append(self._count(view, *part, size=min(shared, size - start)))
        return (np.concatenate(counts),)

    def _count(self, view: View, person: Ints, item: Ints, at: Ints, *, size: int) -> Values:
        """The count for rows, float64 [size]; each argument is one for all, or one for each."""
        lists = [view.state.recent(a, (_as_wide(person, at),), at)[0] for a in recents_of(self.friends, self.k)]
        guests = view.state.recent(self.guests, (_as_wide(item, at),), at)[0]
        row, guest = _each_once(guests, _among(guests, np.concatenate(lists, axis=1)))
        who, what, moment = (np.broadcast_to(one, size)[row] for one in (person, item, at))
        there = standing(self.friends, view.state, who, guest, moment) & (guest != who)
        if isinstance(self.of, Bond) and self._ends:
            there &= standing(self.of, view.state, guest, what, moment)
        return np.bincount(row[there], minlength=size).astype(np.float64)

    def problems(self, system: Any) -> Iterator[Problem]:
        yield from super().problems(system)
        friend, guest = self.friends.tables[1], next(iter(self.events.refs.values())).name
        if friend != guest:
            what = f"`{self.friends.name}` ties to rows of `{friend}`, and a `{guest}` does `{self.events.name}`"
            yield Problem("unlike-ends", what, self.where, "nobody would be found", "use another bond or event")
        if as_path(self.by).kind.storage == "categories":
            what = f"`{as_path(self.by)}` has several values"
            yield Problem("last-by-set", what, self.where, fix="use a key with one value")


def _as_wide(rows: Ints, at: Ints) -> Ints:
    return np.broadcast_to(rows, max(len(rows), len(at))).copy()


def _each_once(lists: Ints, chosen: NDArray[np.bool_]) -> tuple[Ints, Ints]:
    """The row and the number of what is chosen, each pair once, int64 [m] each."""
    row, place = np.nonzero(chosen)
    pairs = np.unique(row << _ROW_BITS | np.broadcast_to(lists, chosen.shape)[row, place])
    return pairs >> _ROW_BITS, pairs & ((1 << _ROW_BITS) - 1)


def _among(some: Ints, lists: Ints) -> NDArray[np.bool_]:
    """Which numbers are in the list of their row, bool [n, k]; -1 is in none. Either has one row for all, or n."""
    if len(lists) == 1:
        return np.isin(some, lists[lists >= 0])
    row = np.arange(len(lists))[:, None] << _ROW_BITS
    return np.isin(row + some, (row + lists)[lists >= 0]) & (some >= 0)


@meaning.register
def _(feature: Company, place: int) -> str:
    person, item = map(thing, feature.paths)
    still = f", and for whom `{feature.events.name}` stands" if isinstance(feature.of, Bond) else ""
    last = f"the last {feature.last} {plural(feature.events.name)} of {item}"
    return f"number of those behind {last} to whom `{feature.friends.name}` ties {person}{still}"
