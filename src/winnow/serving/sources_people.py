"""Sources of people for people: friends of friends, those near in the network, those of the same school or work.

Whatever they propose, policy decides who may be shown; what they tell as a reason is looked up anew, and counts only
ties that stand and that nobody hides.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path as File
from typing import Any, Literal

import numpy as np

from winnow.core.candidates import Ints, Mask
from winnow.core.errors import Problem
from winnow.core.time import days
from winnow.data.graph import Graph
from winnow.data.graph_bonds import standing
from winnow.data.graph_pairs import shared
from winnow.data.schema import Path
from winnow.features.aggregate import Aggregate
from winnow.features.state import NEVER, State
from winnow.serving.kit import Kit
from winnow.serving.network import Near, Network
from winnow.serving.query import NO_ROWS, Query
from winnow.serving.sources import PastEvents, Proposal, Source, Told
from winnow.serving.sources_graph import ByOwner

__all__ = ["FriendsOfFriends", "Network", "Same", "Walk"]
_NOTHING = NO_ROWS, np.empty(0, np.float32)
_BESIDE = "people near whom you know"


@dataclass(frozen=True)
class Networked(Source):
    """Base of sources that follow a network from who asks; training leaves them a snapshot of it.

    Args:
        network: who is tied to whom.
    """

    network: Network

    def aggregates(self) -> tuple[Aggregate, ...]:
        return self.network.aggregates()

    def prepare(self, folder: File, *, events: PastEvents, items: int, before: int) -> None:
        bond = self.network.bond
        made, undone = events(bond.made.name), events(bond.undone.name)
        standing(bond, made, undone, size=items, before=before).save(folder / "graph")

    def open(self, folder: File) -> Graph:
        return Graph.open(folder / "graph")

    def near(self, query: Query, kit: Kit) -> Near:
        """The network as who asks sees it now."""
        return self.network.near(kit.bundle.artefacts[self.name], query, kit)

    def found(self, near: Near, size: int) -> Proposal:
        """People near in the network whom the person does not know yet, best first."""
        raise NotImplementedError

    def propose(self, query: Query, kit: Kit) -> Proposal:
        if query.profile < 0:
            return _NOTHING
        near = self.near(query, kit)
        spare = min(len(query.skip) + len(query.exclude), 2 * self.limit)
        rows, scores = self.found(near, self.limit + spare)
        return query.first(rows, scores, self.limit)

    def still(self, rows: Ints, query: Query, kit: Kit) -> Mask:
        """Which of those whom it proposed some time ago may still be found by it, bool [n]: neither they nor all the
        friends in common have come to hide whom they know."""
        near = self.near(query, kit)
        told, every = near.mutual(rows)[0], shared(near.view, np.full(len(rows), near.person), rows).place
        place = np.arange(len(rows))
        return np.asarray(~near.closed(rows) & (np.isin(place, told) | ~np.isin(place, every)))

    def tell(self, rows: Ints, query: Query, kit: Kit) -> list[Told]:
        place, _ = self.near(query, kit).mutual(rows)
        return [_mutual(many) for many in np.bincount(place, minlength=len(rows)).tolist()]


def _mutual(many: int) -> Told:
    return Told("tie", f"{many} mutual friend{'s' * (many > 1)}") if many else Told("taste", _BESIDE)


@dataclass(frozen=True)
class FriendsOfFriends(Networked):
    """People two steps away, by the friends in common: ties that were made or ended a moment ago count at once.

    Args:
        by: what a friend in common weighs: `adamic_adar`, `resource`, `common` or `faded`.
        half_life: of `faded`.
    """

    by: Literal["adamic_adar", "resource", "common", "faded"] = field(kw_only=True, default="adamic_adar")
    half_life: timedelta = field(kw_only=True, default=days(180))
    limit: int = field(kw_only=True, default=300)

    def found(self, near: Near, size: int) -> Proposal:
        from winnow.retrieval.graph import friends_of_friends

        at, half_life = near.query.at, self.half_life
        rows, scores, _ = friends_of_friends(near, near.person, size, by=self.by, now=at, half_life=half_life)
        stands = np.isin(np.arange(len(rows)), near.mutual(rows)[0])  # ties of others that ended since the snapshot
        return rows[stands], scores[stands]


@dataclass(frozen=True)
class Walk(Networked):
    """People whom a walk along ties that begins at who asks is likely to end at: personalised PageRank.

    Args:
        stop: chance that the walk stops at a step.
    """

    stop: float = field(kw_only=True, default=0.15)
    limit: int = field(kw_only=True, default=200)

    def found(self, near: Near, size: int) -> Proposal:
        from winnow.retrieval.graph import pagerank

        rows, scores, _ = pagerank(near, near.person, size, stop=self.stop, error=1e-4)
        return rows, scores

    def problems(self, system: Any) -> Iterator[Problem]:
        yield from super().problems(system)
        if not 0 < self.stop < 1:
            yield Problem("bad-share", f"stop is {self.stop}", self.where, fix="above 0 and below 1")


@dataclass(frozen=True)
class Same(Source):
    """People who have a value in common with who asks: school, work, group. Those with most in common come first, then
    the newest.

    Args:
        of: the column of who asks, of one or several values.
        to: that of the people who are shown.
        newest: a time column of theirs.
        told: the reason; `{item}` stands for the value.
        depth: people looked at for each value.
    """

    of: Path
    to: Path = field(kw_only=True)
    newest: Path = field(kw_only=True)
    told: str = field(kw_only=True, default="{item}, as you")
    depth: int = field(kw_only=True, default=500)
    limit: int = field(kw_only=True, default=100)

    @property
    def name(self) -> str:
        return f"Same_{self.to.columns[-1]}"

    def problems(self, system: Any) -> Iterator[Problem]:
        yield from super().problems(system)
        if not (self.of.kind.has_domain and self.to.kind.has_domain and self.of.domain == self.to.domain):
            what = f"`{self.of}` and `{self.to}` draw on different ids"
            fix = 'declare both as category(domain="...")'
            yield Problem("different-domains", what, self.where, "they never have a value in common", fix)

    def index(self, rows: Ints, state: State, at: int) -> ByOwner:
        """People under their values, newest first."""
        if not len(rows):
            return ByOwner.of(rows, rows, rows)
        moment = np.array([at])
        values = state.column(self.to.table, self.to.columns[-1], rows, moment).astype(np.int64).reshape(len(rows), -1)
        times = state.column(self.newest.table, self.newest.columns[-1], rows, moment).astype(np.int64)
        place, column = np.nonzero(values >= 0)
        return ByOwner.of(values[place, column], rows[place], np.where(times == NEVER, 0, times)[place])

    def propose(self, query: Query, kit: Kit) -> Proposal:
        index: ByOwner = kit.catalogue.indexes[self.name]
        values = self._mine(query, kit)
        rows, times = index.newest(values, self.depth)
        distinct, first, many = np.unique(rows, return_index=True, return_counts=True)
        order = np.lexsort((distinct, -times[first], -many))
        return query.first(distinct[order], many[order].astype(np.float32), self.limit)

    def tell(self, rows: Ints, query: Query, kit: Kit) -> list[Told]:
        theirs = kit.view(query, rows).path(self.to).reshape(len(rows), -1)
        hit = np.isin(theirs, self._mine(query, kit))
        values = theirs[np.arange(len(rows)), hit.argmax(axis=1)]
        known = np.asarray(hit.any(axis=1))
        column, domain = self.to.columns[-1], self.to.domain
        told = [Told("same", self.told, value, column, domain) for value in values.tolist()]
        other = Told("source", f"same {column}")
        return [told[place] if there else other for place, there in enumerate(known.tolist())]

    def _mine(self, query: Query, kit: Kit) -> Ints:
        """The values of who asks."""
        if query.profile < 0:
            return NO_ROWS
        values = np.atleast_1d(kit.column(self.of, query.profile, query.at)).astype(np.int64)
        return np.asarray(values[values >= 0])
