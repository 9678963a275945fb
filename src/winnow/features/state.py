"""The one seam between training and serving: where features look up what is known about keys.

`HistoryState` answers as of any past moment, `LiveState` as of now; a property test holds them equal to the bit.
Rows of -1 (missing) give the empty answer. Arrays `at` have length 1 or n and broadcast.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from winnow.data.schema import Table
from winnow.features.aggregate import Aggregate
from winnow.features.batch import Ints

NEVER = np.iinfo(np.int64).min  # the time of an event that has not happened
SET_WIDTH = 8  # values kept of a multi-valued category


class State(Protocol):
    """What is known about keys as of a moment."""

    def column(self, table: Table, column: str, rows: Ints, at: Ints) -> NDArray[np.generic]:
        """A column's value for n rows, as of each moment.

        Args:
            table: the table.
            column: its column.
            rows: int64 [n].
            at: int64 [1 or n].

        Returns:
            float64 [n] (NaN missing) for numbers; int64 [n] for category, ref, flag (-1 missing) and time (NEVER
            missing); int64 [n, SET_WIDTH] padded with -1 for categories.
        """
        ...

    def window(self, aggregate: Aggregate, keys: tuple[Ints, ...], at: Ints) -> Ints:
        """Counts, or sums in millionths, of the events in the window: int64 [n]; 0 for a missing key.

        Args:
            aggregate: a `sum` aggregate.
            keys: one or two int64 [n].
            at: int64 [1 or n].
        """
        ...

    def recent(self, aggregate: Aggregate, keys: tuple[Ints, ...], at: Ints) -> tuple[Ints, Ints]:
        """The last k events by own time (ties: by log order), newest first.

        Returns:
            values int64 [n, k] (-1 padding; all -1 when `aggregate.value` is None) and their own times int64 [n, k]
            (NEVER padding).
        """
        ...
