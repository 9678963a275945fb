"""The one seam between training and serving: where features look up what is known about keys.

`HistoryState` answers as of any past moment, `LiveState` as of now; a property test holds them equal to the bit.
Rows of -1 (missing) give the empty answer. Arrays `at` have length 1 or n and broadcast.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from winnow.data.schema import Table
from winnow.encoders.base import Encoder
from winnow.features.aggregate import Aggregate
from winnow.features.batch import Floats, Ints

NEVER = np.iinfo(np.int64).min  # the time of an event that has not happened
KNOWN_AT = "known_at"  # a column that every table has: when the row last changed
SET_WIDTH = 8  # values kept of a multi-valued category


class State(Protocol):
    """What is known about keys as of a moment."""

    def column(self, table: Table, column: str, rows: Ints, at: Ints) -> NDArray[np.generic]:
        """A column's value for n rows, as of each moment.

        Args:
            table: the table.
            column: its column, or KNOWN_AT.
            rows: int64 [n].
            at: int64 [1 or n].

        Returns:
            float64 [n] (NaN missing) for numbers; int64 [n] for category, ref, flag (-1 missing) and time (NEVER
            missing); int64 [n, SET_WIDTH] padded with -1 for categories; content hashes int64 [n] (-1 missing) for
            text.
        """
        ...

    def windows(self, aggregates: Sequence[Aggregate], keys: tuple[Ints, ...], at: Ints) -> list[Ints]:
        """What the events in each window come to, all for the same keys: one look-up rather than many.

        Args:
            aggregates: of one `subject`, none `recent`.
            keys: one or two int64 [n].
            at: int64 [1 or n].

        Returns:
            int64 [n] per aggregate. `sum`: counts, or sums in millionths; 0 where there is nothing. `distinct`: how
            many values; 0. `max`: millionths (microseconds of `at`); NEVER where there is nothing.
        """
        ...

    def recent(self, aggregate: Aggregate, keys: tuple[Ints, ...], at: Ints) -> tuple[Ints, Ints]:
        """The last k events by own time (ties: by log order), newest first.

        Returns:
            values int64 [n, k] and their own times int64 [n, k] (NEVER padding). Values are row numbers or flags, -1
            padding and missing, all -1 when `aggregate.value` is None; of a number millionths, NEVER padding and
            missing.
        """
        ...

    def vectors(self, encoder: Encoder, hashes: Ints) -> Floats:
        """The vectors of texts or images: see `Encodings.vectors`.

        Args:
            encoder: which, and which version of it.
            hashes: content hashes as `column` gives them, int64 [n]; -1 missing.

        Returns:
            float32 [n, encoder.size]; NaN rows for what is missing or was never encoded.
        """
        ...
