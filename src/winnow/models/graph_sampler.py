"""Draws neighbours for models that learn from a graph: only ties made before a moment, and never the tie to be told.

Shapes: n rows asked for, s neighbours of each.
"""

from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from winnow.data.graph import NEVER, Graph, Ints, lower_bound


class Drawn(NamedTuple):
    """Neighbours of n rows.

    Args:
        rows: int64 [n, s]; -1 pads.
        degrees: how many ties each asked row had, without the one that is left out, int64 [n].
    """

    rows: Ints
    degrees: Ints


class Sampler:
    """Draws from the ties of a graph as they were at moments.

    A pair that a model learns from must not tell its own outcome: neighbours are drawn among ties made before the pair
    was shown, and neither of the two is drawn for the other. Within two steps of a the tie to b is met only at the
    first; but a friend of both leads to either, and its degree would tell of the tie: there it does not count.

    Args:
        graph: who is tied to whom.
    """

    def __init__(self, graph: Graph):
        self.graph = graph

    @cached_property
    def _by_time(self) -> tuple[Ints, Ints]:
        """Other ends and times, oldest first for each row."""
        owner = np.repeat(np.arange(self.graph.size), np.diff(self.graph.starts))
        order = np.lexsort((self.graph.times, owner))
        return self.graph.ends[order].astype(np.int64), self.graph.times[order]

    def degrees(self, rows: Ints, moments: Ints) -> Ints:
        """How many ties rows had at moments, int64 [n]."""
        begin, end = self.graph.spans(rows)
        return lower_bound(self._by_time[1], begin, end, wanted=moments) - begin

    def draw(self, rows: Ints, moments: Ints, many: int, *, rng: np.random.Generator, but: Ints | None = None) -> Drawn:
        """Up to `many` distinct neighbours of each row: all of them where there are no more, else one of each of so
        many parts of the ties in order of time.

        Args:
            rows: int64 [n]; rows outside have no ties.
            moments: ties made at or after them are not seen, int64 [n].
            many: s.
            rng: what draws.
            but: who is not drawn for each row, int64 [n].
        """
        ends, _ = self._by_time
        begin, _ = self.graph.spans(rows)
        degrees = self.degrees(rows, moments)
        place = np.arange(many)[None]
        spread = ((place + rng.random((len(rows), many))) * (degrees[:, None] / many)).astype(np.int64)
        chosen = np.where(degrees[:, None] > many, np.minimum(spread, degrees[:, None] - 1), place)
        there = place < degrees[:, None]
        found = np.where(there, ends[np.where(there, begin[:, None] + chosen, 0)], -1) if len(ends) else there - 1
        if but is None:
            return Drawn(found, degrees)
        return Drawn(np.where(found == but[:, None], -1, found), degrees - self.tied(rows, but, moments))

    def tied(self, rows: Ints, others: Ints, moments: Ints) -> NDArray[np.bool_]:
        """Whether rows were tied to others at moments, bool [n]."""
        since = self.graph.since(rows, others)
        return np.asarray((since != NEVER) & (since < moments))
