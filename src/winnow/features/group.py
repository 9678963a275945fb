"""The events that share a type and keys: what those that count at a moment come to.

An event counts at moment t if and only if it was known (known_at < t) and its hop is in the window. Both times fall
in the same hop for nearly all events, so a sum over a window is what was known before t less what was known before the
window's first hop: two binary searches. Events that became known in a later hop than their own ("straddlers") are put
right by a small table.
"""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from winnow.features.aggregate import Aggregate
from winnow.features.batch import Ints
from winnow.features.distinct import Distinct
from winnow.features.extremes import Dominance, RangeMax
from winnow.features.keys import compared, exploded, used, weight
from winnow.features.recents import Recents
from winnow.features.sieve import Sieve
from winnow.features.source import Log
from winnow.features.state import NEVER
from winnow.features.straddlers import Straddlers
from winnow.features.timeline import Codes, Places, Timeline, among, find

T = TypeVar("T")


class Asked:
    """Questions about keys of a group, sorted by (key, moment): each look-up is made once for all aggregates.

    Args:
        lines: the group's events.
        places: moments as places in the log.
        codes: int64 [1 or n]; -1 for a key without events.
        at: moments, int64 [1 or n].
    """

    def __init__(self, lines: Timeline, places: Places, codes: Ints, at: Ints):
        self.lines, self.places, self._at = lines, places, at
        self.size = max(len(codes), len(at)) if len(codes) and len(at) else 0
        codes = np.broadcast_to(codes, self.size)
        rows, place = np.flatnonzero(codes >= 0), np.broadcast_to(places.at(at), self.size)
        self.rows = rows[np.argsort(lines.pack(codes[rows], place[rows]))]
        self.codes, self.place = codes[self.rows], place[self.rows]

    @cached_property
    def at(self) -> Ints:
        return self._sorted(self._at)

    @cached_property
    def now(self) -> Ints:
        """How many events stand before each key and moment."""
        return self.lines.before(self.codes, self.place)

    @cached_property
    def start(self) -> Ints:
        """How many events stand before each key."""
        return self.lines.before(self.codes, 0)

    def first_hop(self, a: Aggregate) -> Ints:
        """The first hop of each window."""
        return self._sorted(self._at // a.hop - a.buckets + 1)

    def then(self, a: Aggregate, place: Callable[[Ints], Ints]) -> Ints:
        """The place at which each window begins.

        Args:
            a: tells the window.
            place: places of moments.
        """
        return self._sorted(place((self._at // a.hop - a.buckets + 1) * a.hop))

    def spread(self, values: Ints, empty: int) -> Ints:
        """Answers in the order of the questions, int64 [n]."""
        found = np.full(self.size, empty)
        found[self.rows] = values
        return found

    def _sorted(self, values: Ints) -> Ints:
        return values[self.rows] if len(values) > 1 else np.broadcast_to(values, len(self.rows))


class Group:
    """The events of a log under their keys, sorted by (key, known) once for everything that is asked of them.

    Args:
        log: the events.
        keys: one or two key columns, int64 [n] or [n, m].
        asked: the keys that will be asked for; other events are left out where that is worth while.
    """

    def __init__(self, log: Log, keys: Sequence[Ints], asked: Sequence[Ints] | None = None):
        self._log, self._sieve = log, Sieve(asked) if asked is not None else None
        event, flat = self._under(keys)
        self._codes = Codes(flat, len(log))
        self._lines = Timeline(self._codes.take(), event, size=len(log))
        self._made: dict[Any, Any] = {}

    def _under(self, keys: Sequence[Ints]) -> tuple[Ints | None, Sequence[Ints]]:
        """Events, None for all in order, and the key that each stands under."""
        everyone = all(k.ndim == 1 and k.min(initial=0) >= 0 for k in keys)
        event, flat = (None, keys) if everyone else exploded(keys)
        if self._sieve is None or not self._sieve.pays(flat):
            self._sieve = None
            return event, flat
        kept = self._sieve.kept(flat)
        return kept if event is None else event[kept], [k[kept] for k in flat]

    def covers(self, keys: Sequence[Ints]) -> bool:
        """Whether it can answer for keys, none of whose events were left out."""
        return self._sieve is None or bool(self._sieve.passes(np.broadcast_arrays(*keys)).all())

    def windows(self, aggregates: Sequence[Aggregate], keys: tuple[Ints, ...], at: Ints) -> list[Ints]:
        """See `State.windows`."""
        asked = Asked(self._lines, self._log.places, self._codes.encode(np.broadcast_arrays(*keys)), at)
        answer = {"sum": self._sum, "max": self._max, "distinct": self._distinct}
        return [asked.spread(answer[a.kind](a, asked), NEVER if a.kind == "max" else 0) for a in aggregates]

    def recent(self, aggregate: Aggregate, keys: tuple[Ints, ...], at: Ints) -> tuple[Ints, Ints]:
        """See `State.recent`."""
        recents = self._once(("recent", aggregate.conditions), lambda: self._recents(aggregate))
        codes = self._codes.encode(np.broadcast_arrays(*keys))
        return recents.latest(aggregate, Asked(recents.lines, self._log.places, codes, at))

    def _once(self, name: Any, make: Callable[[], T]) -> T:
        if name not in self._made:
            self._made[name] = make()
        return cast(T, self._made[name])

    def _name(self, a: Aggregate, *more: Any) -> Any:
        return (a.kind, a.value, a.conditions, a.half_life, a.negated, *more)

    def _sum(self, a: Aggregate, asked: Asked) -> Ints:
        totals = self._totals(a)
        if not a.hop:
            return totals(asked.now) - totals(asked.start)
        then = asked.lines.before(asked.codes, asked.then(a, asked.places.at))
        found = totals(asked.now) - totals(then)
        if self._log.any_late:
            late = self._once(self._name(a, a.hop, a.buckets), lambda: self._straddlers(a))
            found -= late.before(asked.codes, asked.first_hop(a), asked.at)
        return found

    def _totals(self, a: Aggregate) -> Callable[[Ints], Ints]:
        """What the first i events of the sorted order add up to."""
        if a.value is None and not a.conditions and a.half_life is None:
            return lambda index: index  # a count needs no sums
        return self._once(self._name(a), lambda: self._running(a)).__getitem__

    def _running(self, a: Aggregate) -> Ints:
        totals = np.zeros(len(self._lines) + 1, np.int64)
        self._lines.column(lambda event: self._weights(a, event), out=totals[1:])
        return np.cumsum(totals, out=totals)

    def _weights(self, a: Aggregate, event: Ints) -> Ints:
        adds = weight(a, self._log.some(event, used(a)))
        return adds * self._log.passed(a.conditions, event) if a.conditions else adds

    def _straddlers(self, a: Aggregate) -> Straddlers:
        at, known_at = self._log.at, self._log.known_at

        def straddle(event: Ints) -> NDArray[np.bool_]:
            return (at[event] < known_at[event]) & (at[event] // a.hop < known_at[event] // a.hop)

        late = self._lines.kept(straddle)
        codes, event = late.codes(slice(None)), late.places(slice(None))
        return Straddlers(a, codes, self._weights(a, event), at=at[event], known_at=known_at[event])

    def _max(self, a: Aggregate, asked: Asked) -> Ints:
        ranges = self._once(self._name(a, "ranges"), lambda: RangeMax(self._lines.column(lambda e: self._values(a, e))))
        if not a.hop:
            return ranges.over(asked.start, asked.now)
        place = asked.then(a, lambda moments: find(self._log.own_at, moments))
        found = ranges.over(self._own.before(asked.codes, place), asked.now)
        late = np.flatnonzero(among(asked.codes, self._shuffled))
        if len(late):
            exact = self._once(self._name(a, "exact"), lambda: self._exact(a))
            found[late] = exact.of(asked.codes[late], asked.place[late], place[late])
        return found

    def _values(self, a: Aggregate, event: Ints) -> Ints:
        values = compared(a, self._log.some(event, used(a)))
        return np.where(self._log.passed(a.conditions, event), values, NEVER) if a.conditions else values

    @cached_property
    def _own(self) -> Timeline:
        """The events sorted by (key, own time)."""
        if self._log.in_order:
            return self._lines
        own = self._lines.column(lambda event: self._log.own_order[event])
        return Timeline(self._lines.codes(slice(None)), own, size=len(self._log))

    @cached_property
    def _shuffled(self) -> Ints:
        """The keys of which an event became known after a newer one, sorted."""
        return self._log.shuffled(self._lines)

    def _exact(self, a: Aggregate) -> Dominance:
        some = np.flatnonzero(among(self._lines.codes(slice(None)), self._shuffled))
        codes, event = self._lines.codes(some), self._lines.places(some)
        own, values = self._log.own_order[event], self._values(a, event)
        return Dominance(codes, event, own, values, size=len(self._log), join=np.maximum)

    def _distinct(self, a: Aggregate, asked: Asked) -> Ints:
        values = self._once(self._name(a), lambda: Distinct(self._lines, self._log, a))
        if not a.hop:
            return values.ever(asked.codes, asked.place)
        place = asked.then(a, lambda moments: find(self._log.own_at, moments))
        return values.since(asked.codes, asked.place, place)

    def _recents(self, a: Aggregate) -> Recents:
        lines = self._lines
        if a.conditions:
            lines = lines.kept(lambda event: self._log.passed(a.conditions, event))
        return Recents(lines, self._log)
