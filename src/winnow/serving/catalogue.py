"""The catalogue: which items exist, and the lists that are the same for everybody, looked up in the background."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from winnow.core.candidates import Floats, Ints, Mask
from winnow.data.schema import Table
from winnow.features.alive import Alive
from winnow.features.keys import missing
from winnow.features.state import State

Proposal = tuple[Ints, Floats]


@dataclass(frozen=True, eq=False)
class Catalogue:
    """One look at the items.

    Args:
        at: the moment of the look, microseconds UTC.
        exists: whether each row is an item that was not deleted, bool [I].
        hidden: whether policy would not show each row that exists, bool [I]; nothing when that could not be told.
        lists: source → rows and scores, best first.
        indexes: source → what the background made for it beside a list.
        lost: tables of live state that have had no room, or made some: what rests on all of them cannot be told.
        popularity: a count per row, float32 [I], to fall back on; zeros when no source counts.
    """

    at: int
    exists: Mask
    hidden: Mask = field(default_factory=lambda: np.empty(0, bool))
    lists: Mapping[str, Proposal] = field(default_factory=dict)
    indexes: Mapping[str, Any] = field(default_factory=dict)
    lost: frozenset[str] = frozenset()
    popularity: Floats = field(default_factory=lambda: np.empty(0, np.float32))

    @property
    def size(self) -> int:
        """How many items exist."""
        return int(self.exists.sum())

    def standing(self, rows: Ints) -> Floats:
        """The popularity of rows, float32 [n]."""
        if not len(self.popularity):
            return np.zeros(len(rows), np.float32)
        known = rows < len(self.popularity)
        return np.where(known, self.popularity[np.where(known, rows, 0)], np.float32(0))


def existing(table: Table, rows: Ints, state: State, at: int, alive: Alive | None = None) -> Mask:
    """Which rows are in a table now, bool [n]: something is known of them, and they were not deleted; and are alive.

    Deleting a row makes all its columns missing, and so does never having put it. Text is not kept live, so a table
    of nothing but text cannot tell, and all its rows count as there.
    """
    kinds = {name: kind for name, kind in table.columns.items() if kind.storage != "text"}
    found = np.zeros(len(rows), bool) if kinds else rows >= 0
    for name, kind in kinds.items() if len(rows) else ():
        values, nothing = state.column(table, name, rows, np.array([at])), missing(kind)
        there = ~np.isnan(values) if kind.storage == "number" else values != nothing
        found |= there if there.ndim == 1 else there.any(axis=1)
    return found if alive is None else found & alive.mask(rows, state, np.array([at]))
