"""When an item can be chosen at all: things that begin and end, such as events, offers and auctions."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from winnow.core.declare import Declared
from winnow.core.errors import Problem
from winnow.data.schema import Path
from winnow.features.batch import Ints
from winnow.features.state import NEVER, State

Mask = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Alive(Declared):
    """Items live from one moment until another, by columns as they were known at the time.

    Nothing else is shown, by whatever source; retrievers are judged among those alive at each row's moment, and find
    their negatives there. An item without the one or the other moment has no such bound.

    Args:
        since: a time column of the items: from this moment on; None for from when the log knows the item.
        until: a time column of the items: before this moment; None for as long as the item exists.
    """

    since: Path | None = field(default=None)
    until: Path | None = field(default=None)

    def problems(self, system: Any) -> Iterator[Problem]:
        if self.since is None and self.until is None:
            yield Problem("always-alive", "neither since nor until is given", self.where, fix="give one, or no Alive")
        for path in filter(None, (self.since, self.until)):
            if path.table.name != system.labels.item.name or len(path.columns) != 1 or path.kind.storage != "time":
                what = f"`{path}` is no time column of `{system.labels.item.name}`"
                yield Problem("bad-column", what, self.where, fix="use a column of kind time of the items")

    def mask(self, rows: Ints, state: State, at: Ints) -> Mask:
        """Which items are alive, bool [n]; whether they exist is another question.

        Args:
            rows: int64 [n].
            state: history or live.
            at: moments, int64 [1 or n].
        """
        found = np.ones(len(rows), np.bool_)
        if not len(rows):
            return found
        if self.since is not None:
            found &= self._values(self.since, rows, state, at) <= at  # NEVER lies before every moment
        if self.until is not None:
            until = self._values(self.until, rows, state, at)
            found &= (until == NEVER) | (at < until)
        return found

    @staticmethod
    def _values(path: Path, rows: Ints, state: State, at: Ints) -> Ints:
        return state.column(path.table, path.columns[-1], rows, at).astype(np.int64)
