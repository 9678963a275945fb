"""Lists that were made elsewhere, for sources that can tell where they would have put the items of such a list."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from winnow.core.candidates import Doubles, Floats, Ints
from winnow.core.system import System
from winnow.data.log import SqliteLog
from winnow.features.proposed import ranks

Standing = tuple[Doubles, Doubles]  # scores and places of n items, NaN where they would not have been proposed
_TOGETHER = 256  # queries compared with every item at once


@dataclass(frozen=True, eq=False)
class Vectors:
    """A fitted retriever's view of the past.

    Args:
        queries: the vector of who asked, for each of n impressions, float32 [n, D].
        items: vectors of all items, float32 [I, D].
        rows: which items, int64 [I].
    """

    queries: Floats
    items: Floats
    rows: Ints


@dataclass(frozen=True, eq=False)
class Past:
    """Who was shown what, n impressions.

    Args:
        system: the declaration.
        log: the event log.
        folder: of the project.
        users: rows of who asked, int64 [n].
        items: rows of what they were shown, int64 [n].
        said: column of who asks → row → what it says, for texts and ids.
        vectors: what the serving retriever makes of them; None without one.
    """

    system: System
    log: SqliteLog
    folder: Path
    users: Ints
    items: Ints
    said: Callable[[str], Mapping[int, str]]
    vectors: Callable[[], Vectors | None]

    def nearest(self, limit: int) -> Standing | None:
        """Where items stand among those nearest to who asked; nothing beyond the limit."""
        if (found := self.vectors()) is None:
            return None
        distinct, place = np.unique(found.queries, axis=0, return_inverse=True)
        lists = []
        for start in range(0, len(distinct), _TOGETHER):
            likeness = distinct[start : start + _TOGETHER] @ found.items.T
            likeness[np.isnan(likeness)] = -np.inf
            lists += [_first(found.rows, scores, limit) for scores in likeness]
        return self.among(place.ravel(), lists)

    def among(self, place: Ints, lists: list[tuple[Ints, Doubles]]) -> Standing:
        """Scores and places of the n items in lists.

        Args:
            place: which list is that of each impression, int64 [n].
            lists: rows and scores, best first.
        """
        scores, places = np.full(len(place), np.nan), np.full(len(place), np.nan)
        for which, (rows, values) in enumerate(lists):
            mine = np.flatnonzero(place == which)
            order = np.argsort(rows)
            found = np.minimum(np.searchsorted(rows[order], self.items[mine]), max(len(rows) - 1, 0))
            hit = rows[order][found] == self.items[mine] if len(rows) else np.zeros(len(mine), bool)
            at = order[found[hit]] if len(rows) else found[hit]
            scores[mine[hit]], places[mine[hit]] = values[at], ranks(values)[at]
        return scores, places


def _first(rows: Ints, scores: NDArray[np.float32], limit: int) -> tuple[Ints, Doubles]:
    best = np.argsort(-scores, kind="stable")[:limit]
    best = best[np.isfinite(scores[best])]
    return rows[best], scores[best].astype(np.float64)
