"""Sources propose candidates. Each is small: the state it needs, what training prepares for it, what it proposes.

A source that fails or is late is left out of the reply, which says so.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path as File
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from winnow.core.candidates import Floats, Ints
from winnow.core.declare import Declared
from winnow.core.errors import Problem
from winnow.core.time import days, short
from winnow.data.schema import Events, Path
from winnow.features.aggregate import Aggregate
from winnow.features.state import NEVER, State
from winnow.serving.filters import last_of
from winnow.serving.gather import Gatherer
from winnow.serving.kit import Kit
from winnow.serving.query import Query
from winnow.serving.trace import Trace

if TYPE_CHECKING:  # a system file is read without scipy
    from winnow.data.log import SqliteLog
    from winnow.retrieval.covisit import Neighbours
    from winnow.retrieval.past import Past, Standing

Proposal = tuple[Ints, Floats]
PastEvents = Callable[[str], Mapping[str, Any]]
_NEIGHBOURS = "neighbours.npz"
_DID = {
    "watch": "watched", "like": "liked", "click": "opened", "comment": "commented on", "view": "looked at",
    "register": "registered for", "book": "booked", "buy": "bought", "save": "saved",
}  # fmt: skip
_SPANS = {days(1): "today", days(7): "this week", days(30): "this month"}
SPARE = 10  # a list refreshed in the background is this many times as long as what one request takes from it


class Follower(Protocol):
    """Something made from the log and kept in step with it."""

    def catch_up(self, until: int) -> None:
        """Takes in what changed up to a `seq`; called several times a second, from one thread."""
        ...

    def close(self) -> None:
        """Ends."""
        ...


@dataclass(frozen=True)
class Told:
    """A reason for people: `{item}` in the text stands for the id of an item of the user's past, or of a value.

    Args:
        kind: `tie`, `talk`, `watched`, `same`, `near`, `soon`, `popular`, `new`, `taste`, `chance` or
            `source`.
        text: the sentence.
        item: row of the item it speaks of; -1 for none.
        column: the column that two items have in common.
        domain: whose row it is, where that is no item: the value of a column.
    """

    kind: str
    text: str
    item: int = -1
    column: str = ""
    domain: str = ""


def did(events: Events) -> str:
    """What a person did, for a sentence about an item of their past."""
    return _DID.get(events.name, "chose")


@dataclass(frozen=True, kw_only=True)
class Source(Declared):
    """One place where candidates come from.

    Args:
        limit: most candidates proposed.
    """

    limit: int = 100
    chosen: ClassVar[bool] = False  # whether the person asked for what it proposes: whom they follow, their groups

    @property
    def name(self) -> str:
        """How replies and traces call it; distinct within a pipeline."""
        return type(self).__name__

    def aggregates(self) -> tuple[Aggregate, ...]:
        """The live state that it needs kept."""
        return ()

    def problems(self, system: Any) -> Iterator[Problem]:
        if self.limit < 1:
            yield Problem("bad-limit", f"limit is {self.limit}", self.where, fix="1 or more")

    def prepare(self, folder: File, *, events: PastEvents, items: int, before: int) -> None:
        """Writes what training makes for it into an existing empty folder; nothing by default.

        Args:
            folder: `sources/<name>` of the release.
            events: name of an event type → its columns: roles, fields and `at` as arrays.
            items: how many rows the item table has.
            before: events from this moment on must not be looked at, microseconds UTC.
        """

    def open(self, folder: File) -> Any:
        """What `prepare` wrote, in memory; None without a folder."""
        return None

    def refresh(self, rows: Ints, state: State, at: int) -> Proposal | None:
        """A list for all users over all living items, made in the background; None when it keeps none."""
        return None

    def index(self, rows: Ints, state: State, at: int) -> Any:
        """Anything else it wants made in the background over all living items; None when it wants nothing."""
        return None

    def follow(self, log: "SqliteLog", folder: File) -> "Follower | None":
        """What is to follow the log for it in every process, beside live state (an index of its own); found as
        `kit.followers[self.name]`. None when it needs nothing.

        Args:
            log: the event log.
            folder: of the project.
        """
        return None

    def replay(self, past: "Past") -> "Standing | None":
        """Where it would have put items for those who were shown them elsewhere; None when it cannot tell.

        Args:
            past: who was shown what.
        """
        return None

    def propose(self, query: Query, kit: Kit) -> Proposal:
        """Candidates for one request: distinct item rows, best first, int64 [n], and scores, float32 [n]."""
        raise NotImplementedError

    def tell(self, rows: Ints, query: Query, kit: Kit) -> list[Told]:
        """Why it proposed each of these candidates, for people."""
        return [Told("source", f"proposed by {self.name}")] * len(rows)


@dataclass(frozen=True, kw_only=True)
class Nearest(Source):
    """The items whose vectors are nearest to what is asked for, by the retrieval model of the release.

    What is asked for is the user and the request, or a picture, or an item: then its own vector.
    """

    limit: int = 300

    def problems(self, system: Any) -> Iterator[Problem]:
        yield from super().problems(system)
        if system.retrieval is None:
            yield Problem("no-retrieval", "Nearest without a retrieval ladder", self.where,
                          "no model would make vectors", "give System(retrieval=Ladder(...))")  # fmt: skip

    def propose(self, query: Query, kit: Kit) -> Proposal:
        spare = min(len(query.skip) + len(query.exclude), 2 * self.limit)
        return query.first(*kit.bundle.vectors.search(query, kit, self.limit + spare), self.limit)

    def replay(self, past: "Past") -> "Standing | None":
        return past.nearest(self.limit)

    def tell(self, rows: Ints, query: Query, kit: Kit) -> list[Told]:
        like = "close to you" if kit.system.labels.item.people else "close to what you like"
        if kit.system.alike:
            like = "looks like it" if kit.system.picture else "like what you look at"
        if query.said:
            like = "close in meaning to what you asked for"
        return [Told("taste", like)] * len(rows)


@dataclass(frozen=True)
class CoWatched(Source):
    """What people who watched the user's last items watched as well.

    A candidate's score is the sum of its likeness to those items; the artefact of training holds the most alike
    neighbours of every item.

    Args:
        of: the events that count as watching.
        last: how many of the user's items ask for neighbours.
        half_life: after which an event counts half when training looks for neighbours.
    """

    of: Events
    limit: int = field(kw_only=True, default=150)
    last: int = field(kw_only=True, default=50)
    half_life: timedelta = field(kw_only=True, default=days(30))

    def aggregates(self) -> tuple[Aggregate, ...]:
        return (last_of(self.of, self.last),)

    def prepare(self, folder: File, *, events: PastEvents, items: int, before: int) -> None:
        from winnow.retrieval.covisit import neighbours

        seen = events(self.of.name)
        user, item = next(iter(self.of.refs)), list(self.of.refs)[-1]
        found = neighbours(seen[user], seen[item], seen["at"], before=before, half_life=self.half_life, size=items)
        found.save(folder / _NEIGHBOURS)

    def open(self, folder: File) -> "Neighbours":
        from winnow.retrieval.covisit import Neighbours

        return Neighbours.open(folder / _NEIGHBOURS)

    def propose(self, query: Query, kit: Kit) -> Proposal:
        near: Neighbours | None = kit.bundle.artefacts[self.name]
        if near is None:
            raise LookupError("the release has no neighbours")
        seeds = kit.recent(self.aggregates()[0], query)
        rows, scores = near.of(seeds, self.limit + len(query.skip), _fading(len(seeds)))
        return query.first(rows, scores, self.limit)

    def tell(self, rows: Ints, query: Query, kit: Kit) -> list[Told]:
        near: Neighbours = kit.bundle.artefacts[self.name]
        seeds = kit.recent(self.aggregates()[0], query)
        seeds = seeds[seeds < len(near.rows)]
        likeness = near.scores[seeds] * _fading(len(seeds))[:, None]
        hit = likeness[..., None] * (near.rows[seeds][..., None] == rows)
        best = hit.max(axis=1).argmax(axis=0)
        return [Told("watched", f"because you {did(self.of)} {{item}}", int(seeds[b])) for b in best]


def _fading(size: int) -> Floats:
    """Weights of the user's items, newest first: half as much after ten."""
    return np.exp2(-np.arange(size) / 10).astype(np.float32)


@dataclass(frozen=True)
class Popular(Source):
    """The items with the most such events in a window.

    Args:
        of: the events counted.
        window: how far back.
    """

    of: Events
    limit: int = field(kw_only=True, default=100)
    window: timedelta = field(kw_only=True, default=days(7))

    def aggregates(self) -> tuple[Aggregate, ...]:
        item = list(self.of.refs.values())[-1]
        return (Aggregate("sum", self.of, (Path(item),), None, (), self.window),)

    def refresh(self, rows: Ints, state: State, at: int) -> Proposal:
        if not len(rows):
            return top(rows, rows, 0)
        (counts,) = state.windows(self.aggregates(), (rows,), np.array([at]))
        return top(rows[counts > 0], counts[counts > 0], self.limit * SPARE)

    def propose(self, query: Query, kit: Kit) -> Proposal:
        return query.first(*kit.catalogue.lists[self.name], self.limit)

    def tell(self, rows: Ints, query: Query, kit: Kit) -> list[Told]:
        return [Told("popular", f"popular {_SPANS.get(self.window, f'in the last {short(self.window)}')}")] * len(rows)


@dataclass(frozen=True)
class Fresh(Source):
    """The newest items by a time column; items of the future wait for their time.

    Args:
        by: the time column.
    """

    by: Path
    limit: int = field(kw_only=True, default=50)

    def refresh(self, rows: Ints, state: State, at: int) -> Proposal:
        if not len(rows):
            return top(rows, rows, 0)
        since: Any = state.column(self.by.table, self.by.columns[-1], rows, np.array([at]))
        known = (since != NEVER) & (since <= at)
        return top(rows[known], since[known], self.limit * SPARE)

    def propose(self, query: Query, kit: Kit) -> Proposal:
        return query.first(*kit.catalogue.lists[self.name], self.limit)

    def tell(self, rows: Ints, query: Query, kit: Kit) -> list[Told]:
        return [Told("new", "new")] * len(rows)


def ask(
    sources: Sequence[Source], query: Query, kit: Kit, *, gatherer: Gatherer, trace: Trace
) -> list[Proposal | None]:
    """What every source proposes, None for those that failed or were late.

    When that is all of them, the lists that the background keeps for everybody stand in: a person gets something.
    """
    asked = wanted(sources, query)
    asks = [(source.name, partial(source.propose, query, kit)) for source in asked]
    proposals = dict(zip((s.name for s in asked), gatherer.ask(asks, left_s=query.left_s(), trace=trace), strict=True))
    if all(p is None for p in proposals.values()):
        lists = kit.catalogue.lists
        proposals = {s.name: query.first(*lists[s.name], s.limit) for s in asked if s.name in lists}
    return [proposals.get(source.name) for source in sources]


def wanted(sources: Sequence[Source], query: Query) -> Sequence[Source]:
    """Who is asked: all, or in order of time those alone whose items the person chose to follow, if there are any."""
    chosen = [source for source in sources if source.chosen]
    return chosen if query.chronological and query.personal and chosen else sources


def top(rows: Ints, scores: Any, limit: int) -> Proposal:
    """The rows with the highest scores, best first; ties by row, so that lists repeat."""
    if 0 < limit < len(rows):
        chosen = np.argpartition(-scores, limit - 1)[:limit]
        rows, scores = rows[chosen], scores[chosen]
    order = np.lexsort((rows, -scores))
    return rows[order], scores[order].astype(np.float32)
