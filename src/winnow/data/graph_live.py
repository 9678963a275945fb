"""Ties that were made or ended after a snapshot: look-ups see them at once, and the next snapshot takes them in."""

from dataclasses import dataclass, field
from threading import Lock

import numpy as np
from numpy.typing import ArrayLike

from winnow.data.graph import NEVER, Fan, Graph, Ints, Mask, Rows, joined, spread


@dataclass(frozen=True, eq=False)
class View:
    """A snapshot and the rows that changed since, as of one moment; it reads like a `Graph`, and never changes.

    Args:
        base: the snapshot.
        touched: rows with changes, ascending, int64 [T].
        own: the ties of the touched rows as they are now, T rows.
    """

    base: Graph
    touched: Ints
    own: Graph

    @classmethod
    def of(cls, base: Graph) -> "View":
        """A snapshot without changes."""
        return cls(base, np.empty(0, np.int64), _of([]))

    @property
    def size(self) -> int:
        """Rows lie below it."""
        return max(self.base.size, int(self.touched.max(initial=-1)) + 1)

    def places(self, rows: Ints) -> Ints:
        """Where rows stand among the touched ones, int64 [n]; -1 for those that did not change."""
        if not len(self.touched):
            return np.full(len(rows), -1)
        at = np.minimum(np.searchsorted(self.touched, rows), len(self.touched) - 1)
        return np.where(self.touched[at] == rows, at, -1)

    def degrees(self, rows: ArrayLike) -> Ints:
        """See `Graph.degrees`."""
        asked = np.asarray(rows, np.int64)
        place = self.places(asked)
        return np.where(place >= 0, self.own.degrees(place), self.base.degrees(asked))

    def neighbours(self, row: int) -> Rows:
        """See `Graph.neighbours`."""
        place = int(self.places(np.array([row]))[0])
        return self.base.neighbours(row) if place < 0 else self.own.neighbours(place)

    def gather(self, rows: ArrayLike) -> Fan:
        """See `Graph.gather`."""
        asked = np.asarray(rows, np.int64)
        where = self.places(asked)
        if not (where >= 0).any():
            return self.base.gather(asked)
        offset = len(self.base.ends)
        old, new = self.base.spans(asked), self.own.spans(where)
        begin, end = (np.where(where >= 0, n + offset, o) for o, n in zip(old, new, strict=True))
        place, at = spread(begin, end)
        changed = at >= offset
        ends, times = np.empty(len(at), np.int32), np.empty(len(at), np.int64)
        for part, source, index in ((~changed, self.base, at), (changed, self.own, at - offset)):
            ends[part], times[part] = source.ends[index[part]], source.times[index[part]]
        return Fan(place, ends, times)

    def since(self, first: ArrayLike, second: ArrayLike) -> Ints:
        """See `Graph.since`."""
        one, two = np.broadcast_arrays(np.asarray(first, np.int64), np.asarray(second, np.int64))
        place = self.places(one)
        return np.where(place >= 0, self.own.since(place, two), self.base.since(one, two))

    def tied(self, first: ArrayLike, second: ArrayLike) -> Mask:
        """See `Graph.tied`."""
        return np.asarray(self.since(first, second) != NEVER)

    def degrees_before(self, rows: ArrayLike, moments: ArrayLike) -> Ints:
        """See `Graph.degrees_before`."""
        asked, at = np.broadcast_arrays(np.asarray(rows, np.int64), np.asarray(moments, np.int64))
        place = self.places(asked)
        return np.where(place >= 0, self.own.degrees_before(place, at), self.base.degrees_before(asked, at))

    def merged(self, as_of: int = 0) -> Graph:
        """All of it as one snapshot."""
        owner, ends, times = _all(self.base)
        changed = np.zeros(self.size, np.bool_)
        changed[self.touched] = True
        kept = ~changed[owner] & (owner < ends)  # a tie stands in the lists of both ends: one of them is enough
        place, own, made = _all(self.own)
        new = self.touched[place] < own
        one, two = np.append(owner[kept], self.touched[place[new]]), np.append(ends[kept], own[new])
        return Graph.of(one, two, np.append(times[kept], made[new]), size=self.size, as_of=as_of or self.base.as_of)

    def changed(self, one: Ints, two: Ints, times: Ints) -> "View":
        """The same with ties set anew, int64 [n] each; the time NEVER ends one. The last word on a pair holds."""
        rows = np.unique(np.append(one, two))
        fan = self.gather(rows)
        owner = np.concatenate([rows[fan.place], one, two])
        ends, made = np.concatenate([fan.ends, two, one]), np.concatenate([fan.times, times, times])
        turn = np.concatenate([np.full(len(fan.ends), -1), np.arange(len(one)), np.arange(len(one))])
        order = np.lexsort((turn, ends, owner))
        owner, ends, made = owner[order], ends[order], made[order]
        last = np.append((owner[1:] != owner[:-1]) | (ends[1:] != ends[:-1]), True)[: len(owner)]
        kept = last & (made != NEVER)
        return self._with(rows, owner[kept], ends[kept], made=made[kept])

    def _with(self, rows: Ints, owner: Ints, ends: Ints, *, made: Ints) -> "View":
        """The same with the lists of some rows replaced; ties come sorted by owner and end."""
        stay = ~np.isin(self.touched, rows)
        place, old, times = _all(self.own)
        kept = stay[place]
        touched = np.union1d(self.touched, rows)
        owner = np.append(self.touched[place[kept]], owner)
        ends, made = np.append(old[kept], ends), np.append(times[kept], made)
        order = np.argsort(owner, kind="stable")
        starts = np.searchsorted(owner[order], np.append(touched, np.iinfo(np.int64).max))
        return View(self.base, touched, Graph(starts, ends[order].astype(np.int32), made[order]))


@dataclass(eq=False)
class LiveGraph:
    """A snapshot that goes on. Readers take `seen()` once and never wait; writers queue.

    Args:
        base: the snapshot to begin with.
    """

    base: Graph
    _view: View = field(init=False, repr=False)
    _later: list[tuple[Ints, Ints, Ints]] = field(init=False, repr=False, default_factory=list)
    _lock: Lock = field(init=False, repr=False, default_factory=Lock)

    def __post_init__(self) -> None:
        self._view = View.of(self.base)

    def seen(self) -> View:
        """What holds now; later changes do not touch it."""
        return self._view

    @property
    def changes(self) -> int:
        """How many rows changed since the snapshot."""
        return len(self._view.touched)

    def tie(self, first: ArrayLike, second: ArrayLike, at: ArrayLike) -> None:
        """Ties rows, int [n], as of moments, int64 [1 or n]; pairs that are tied get the new time."""
        self._set(first, second, at)

    def untie(self, first: ArrayLike, second: ArrayLike) -> None:
        """Ends ties; pairs that are not tied are fine."""
        self._set(first, second, NEVER)

    def _set(self, first: ArrayLike, second: ArrayLike, at: ArrayLike) -> None:
        one, two = np.atleast_1d(np.asarray(first, np.int64)), np.atleast_1d(np.asarray(second, np.int64))
        real = (one >= 0) & (two >= 0) & (one != two)
        times = np.broadcast_to(np.asarray(at, np.int64), one.shape)[real]
        if not real.any():
            return
        change = (one[real], two[real], times)
        with self._lock:
            self._later.append(change)
            self._view = self._view.changed(*change)

    def merge(self, as_of: int = 0) -> Graph:
        """The next snapshot, made while look-ups and changes go on, and moved to."""
        with self._lock:
            view, self._later = self._view, []
        graph = view.merged(as_of)
        self.renew(graph)
        return graph

    def renew(self, graph: Graph) -> None:
        """Moves to a snapshot that holds every change before the last `merge` began; those after it are kept."""
        with self._lock:
            view = View.of(graph)
            if self._later:
                one, two, times = (joined(parts) for parts in zip(*self._later, strict=True))
                view = view.changed(one, two, times)
            self.base, self._view = graph, view


def _all(graph: Graph) -> tuple[Ints, Ints, Ints]:
    """Owner, other end and time of everything stored."""
    owner = np.repeat(np.arange(graph.size), np.diff(graph.starts))
    return owner, graph.ends.astype(np.int64), graph.times


def _of(lists: list[Ints]) -> Graph:
    """Lists of other ends as a graph whose rows are the lists."""
    starts = np.cumsum([0, *map(len, lists)])
    ends = joined(lists)
    return Graph(starts, ends.astype(np.int32), np.zeros(len(ends), np.int64))
