"""Events that became known after the first hop boundary that follows their own time."""

import numpy as np

from winnow.features.aggregate import Aggregate
from winnow.features.batch import Ints
from winnow.features.timeline import Codes, Timeline, ragged


class Straddlers:
    """What such events make a window's first boundary wrong by.

    At boundary b (the first hop of a window) such an event was counted as known since b although it is older than b.
    It is entered at each boundary between its two times, as far back as a window still starts there once it is known.

    Args:
        aggregate: tells the window.
        codes: keys, int64 [m].
        adds: what they add, int64 [m].
        at: own times, int64 [m].
        known_at: when they became known, int64 [m].
    """

    def __init__(self, aggregate: Aggregate, codes: Ints, adds: Ints, *, at: Ints, known_at: Ints):
        order = np.argsort(known_at)
        codes, adds, at, self._known_at = codes[order], adds[order], at[order], known_at[order]
        last = self._known_at // aggregate.hop
        first = np.maximum(at // aggregate.hop, last - aggregate.buckets) + 1
        event, step = ragged(last - first + 1)
        boundary = first[event] + step
        self._shift = int(boundary.min(initial=0))
        self._edges = Codes((codes[event], boundary - self._shift), len(order))
        self._lines = Timeline(self._edges.take(), event, size=len(order))
        self._totals = np.concatenate([[0], np.cumsum(adds[self._lines.places(slice(None))])])

    def before(self, codes: Ints, boundary: Ints, at: Ints) -> Ints:
        """What they add up to for each key at a boundary, of those known before each moment; int64 [n]."""
        edge = self._edges.encode((codes, boundary - self._shift))
        hit = np.flatnonzero(edge >= 0)
        now = self._lines.before(edge[hit], np.searchsorted(self._known_at, at[hit]))
        result = np.zeros(len(codes), np.int64)
        result[hit] = self._totals[now] - self._totals[self._lines.before(edge[hit], 0)]
        return result
