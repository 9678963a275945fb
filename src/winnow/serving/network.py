"""Whom a person knows, and whom those know: the snapshot of a release with what live state says since, as far as it
may be told.

A tie of others is told only where neither of its ends hides whom they know; one's own ties are one's own. People from
whom a person keeps away, or who keep away from them, lead to nobody.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from winnow.core.candidates import Ints, Mask
from winnow.core.declare import Declared
from winnow.core.errors import Problem
from winnow.data.graph import NEVER, Fan, Graph, Rows
from winnow.data.graph_live import View
from winnow.data.graph_pairs import shared
from winnow.data.schema import Path
from winnow.data.ties import Bond
from winnow.features.aggregate import Aggregate
from winnow.features.state import State
from winnow.features.ties import recents_of, standing, times_of
from winnow.serving.kit import Kit
from winnow.serving.query import NO_ROWS, Query


@dataclass(frozen=True)
class Network(Declared):
    """Who is tied to whom, and who may be told of it.

    Args:
        bond: the tie, mutual and within one table: friendship.
        but: bonds by which people keep others away, whoever of both made them.
        private: a flag column of the items: 1 for people who show nobody whom they know.
        last: how many of the latest ties of each person live state keeps; at most 1,000.
    """

    bond: Bond
    but: Sequence[Bond] = field(kw_only=True, default=())
    private: Path | None = field(kw_only=True, default=None)
    last: int = field(kw_only=True, default=200)

    def problems(self, system: Any) -> Iterator[Problem]:
        if not self.bond.mutual:
            what = f"`{self.bond.name}` does not hold both ways"
            yield Problem("unlike-ties", what, self.where, "nobody would be known from both ends", "give mutual=True")
        if self.bond.tables != (system.labels.user.name, system.labels.item.name):
            what = f"`{self.bond.name}` ties {' to '.join(self.bond.tables)}"
            yield Problem("unlike-ends", what, self.where, "it must tie those who ask to those who are shown")
        if self.private is not None and self.private.kind.storage != "flag":
            what = f"`{self.private}` is {self.private.kind.storage}"
            yield Problem("bad-column", what, self.where, fix="use a flag column")

    def aggregates(self) -> tuple[Aggregate, ...]:
        """The live state that it needs kept."""
        apart = [a for bond in self.but for a in times_of(bond)]
        return (*recents_of(self.bond, self.last), *times_of(self.bond), *apart)

    def near(self, snapshot: Graph | None, query: Query, kit: Kit) -> "Near":
        """The network as a person sees it now."""
        base = View.of(snapshot if snapshot is not None else _NOBODY)
        found = Near(self, base, query, kit)
        stones = found.friends[~found.closed(found.friends)]
        person = np.full(1, query.profile)
        mine = [np.broadcast_to(person, len(found.friends)), found.friends, found.made]
        gone = np.setdiff1d(base.neighbours(query.profile).astype(np.int64), found.friends)
        lost = [np.broadcast_to(person, len(gone)), gone, np.full(len(gone), NEVER)]
        parts = zip(self._fresh(stones, base.base.as_of - _LATE_US, kit, query.at), mine, lost, strict=True)
        return replace(found, view=base.changed(*(np.concatenate(part) for part in parts)))

    def _fresh(self, rows: Ints, since: int, kit: Kit, at: int) -> tuple[Ints, Ints, Ints]:
        """The latest ties of rows that a snapshot does not know: two rows and the time of each."""

        def look(state: State) -> list[tuple[Ints, Ints]]:
            return [state.recent(a, (rows,), np.array([at])) for a in recents_of(self.bond, self.last)]

        if not len(rows):
            return rows, rows, rows
        lists = kit.live.consistently(look)
        ends, times = (np.concatenate([part[i] for part in lists], axis=1) for i in range(2))
        place, column = np.nonzero((ends >= 0) & (times >= since))
        return rows[place], ends[place, column], times[place, column]


_NOBODY = Graph.of([], [], size=0)
_LATE_US = 86_400_000_000  # events that came in this late are still looked for beside a snapshot


@dataclass(frozen=True, eq=False)
class Near:
    """The network as one person sees it; it reads like a `Graph`.

    Args:
        network: the declaration.
        view: ties, those of the person and of their friends as of now.
        query: who sees it.
        kit: what it is seen with.
    """

    network: Network
    view: View
    query: Query
    kit: Kit

    @property
    def person(self) -> int:
        """Who sees it."""
        return self.query.profile

    @cached_property
    def _friends(self) -> tuple[Ints, Ints]:
        if self.person < 0:
            return NO_ROWS, NO_ROWS
        network, query = self.network, self.query
        found, since = zip(*(self.kit.recents(a, query) for a in recents_of(network.bond, network.last)), strict=True)
        old = self.view.base.gather(np.array([self.person]))
        rows, times = np.concatenate([old.ends, *found]), np.concatenate([old.times, *since])
        order = np.lexsort((-times, rows))
        rows, first = np.unique(rows[order].astype(np.int64), return_index=True)
        times = times[order][first]
        stands = self.kit.tied(network.bond, self.person, rows, query.at)
        for bond in network.but:
            stands &= ~self.kit.tied(bond, self.person, rows, query.at, doubt=True, either=True)
        return rows[stands], times[stands]

    @property
    def friends(self) -> Ints:
        """To whom the person is tied now, and from whom nobody keeps them away, int64 [f]."""
        return self._friends[0]

    @property
    def made(self) -> Ints:
        """When each of these ties was made, int64 [f]."""
        return self._friends[1]

    def closed(self, rows: ArrayLike) -> Mask:
        """Which rows show nobody whom they know, bool [n]; the person sees what is their own."""
        asked = np.asarray(rows, np.int64)
        if self.network.private is None or not len(asked):
            return np.zeros(len(asked), bool)
        distinct, place = np.unique(asked, return_inverse=True)
        flags = self.kit.view(self.query, distinct).path(self.network.private)
        return np.asarray((flags[place] == 1) & (asked != self.person))

    @property
    def size(self) -> int:
        """Rows lie below it."""
        return self.view.size

    def degrees(self, rows: ArrayLike) -> Ints:
        """See `Graph.degrees`; hidden ties count, since they tell nothing by themselves."""
        return self.view.degrees(rows)

    def degrees_before(self, rows: ArrayLike, moments: ArrayLike) -> Ints:
        """See `Graph.degrees_before`."""
        return self.view.degrees_before(rows, moments)

    def neighbours(self, row: int) -> Rows:
        """See `Graph.neighbours`."""
        return self.gather(np.array([row])).ends

    def gather(self, rows: ArrayLike) -> Fan:
        """See `Graph.gather`."""
        asked = np.asarray(rows, np.int64)
        fan = self.view.gather(asked)
        owner = asked[fan.place]
        own = (owner == self.person) | (fan.ends == self.person)
        seen = own | ~(self.closed(asked)[fan.place] | self.closed(fan.ends))
        return Fan(fan.place[seen], fan.ends[seen], fan.times[seen])

    def since(self, first: ArrayLike, second: ArrayLike) -> Ints:
        """See `Graph.since`."""
        one, two = np.broadcast_arrays(np.asarray(first, np.int64), np.asarray(second, np.int64))
        own = (one == self.person) | (two == self.person)
        return np.where(own | ~(self.closed(one) | self.closed(two)), self.view.since(one, two), NEVER)

    def mutual(self, rows: Ints) -> tuple[Ints, Ints]:
        """Friends of the person to whom each of some rows is tied now, as far as that may be told.

        Args:
            rows: int64 [n].

        Returns:
            which of the rows, and which friend, int64 [m] each.
        """
        both = shared(self, np.full(len(rows), self.person), rows)
        at, bond = np.array([self.query.at]), self.network.bond
        keys = both.rows, rows[both.place]
        stands = self.kit.live.consistently(lambda state: standing(bond, state, *keys, at))
        return both.place[stands], both.rows[stands]
