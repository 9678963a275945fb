"""Events sorted by the row that they count under: done once, shared by all that is kept about them."""

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from winnow.features.batch import Ints
from winnow.features.timeline import ragged


class Grouped:
    """Events by row.

    Args:
        rows: the row (or pair slot) of each event, int64 [e], ascending; events of one row in log order.
        event: which event of the batch each is, int64 [e].
        at: own times, int64 [e].
    """

    def __init__(self, rows: Ints, event: Ints, at: Ints):
        self.rows, self.event, self.at = rows, event, at

    @classmethod
    def of(cls, rows: Ints, event: Ints, at: Ints) -> "Grouped":
        """From events in log order; `at` [e]."""
        rows, order = sorted_by(rows)
        return cls(rows, event[order], at[order])

    def only(self, chosen: NDArray[np.bool_]) -> "Grouped":
        """Some of the events."""
        return self if chosen.all() else Grouped(self.rows[chosen], self.event[chosen], self.at[chosen])

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def first(self) -> Ints:
        """Where each row's events begin, int64 [r]."""
        return np.flatnonzero(np.concatenate([[True], self.rows[1:] != self.rows[:-1]]))

    @cached_property
    def row(self) -> Ints:
        """The different rows, int64 [r]."""
        return self.rows[self.first]

    @cached_property
    def counts(self) -> Ints:
        """How many events each row has, int64 [r]."""
        return np.diff(self.first, append=len(self.rows))

    @cached_property
    def newest(self) -> Ints:
        """The latest own time of each row, int64 [r]."""
        return np.maximum.reduceat(self.at, self.first)

    @cached_property
    def oldest(self) -> Ints:
        """The earliest own time of each row, int64 [r]."""
        return np.minimum.reduceat(self.at, self.first)

    @cached_property
    def rank(self) -> Ints:
        """The running number of each event among those of its row, int64 [e]."""
        return np.arange(len(self.rows)) - np.repeat(self.first, self.counts)

    def within(self, chosen: Ints) -> tuple[Ints, Ints]:
        """The events of some of the rows: for each the position in `chosen`, and which of the group's events it is."""
        of, rank = ragged(self.counts[chosen])
        return of, self.first[chosen][of] + rank


def sorted_by(rows: Ints) -> tuple[Ints, Ints]:
    """Sorted rows and their order, stable: sorts rows and positions packed into one number, which is fastest."""
    if not (rows[1:] < rows[:-1]).any():
        return rows, np.arange(len(rows))
    bits = len(rows).bit_length()
    if int(rows.max()) >> (62 - bits):
        order = np.argsort(rows, kind="stable")
        return rows[order], order
    packed = np.sort((rows << bits) | np.arange(len(rows)))
    return packed >> bits, packed & ((1 << bits) - 1)
