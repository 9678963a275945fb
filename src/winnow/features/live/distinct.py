"""Distinct counts as sums: each time a value is seen anew its one moves on from where it was."""

from collections.abc import Callable

import numpy as np

from winnow.features.batch import Ints
from winnow.features.live.groups import sorted_by
from winnow.features.state import NEVER


def first_seen(rows: Ints, slots: Ints, at: Ints, last: Callable[[Ints], Ints]) -> tuple[Ints, Ints, Ints]:
    """What events add to the number of different values of their row.

    An event later than all before of the same row and value adds one at its own time; when there was one before, less
    one at that one's time. So each value counts once, where it was last seen.

    Args:
        rows: the row of each event, int64 [e], in log order.
        slots: of row and value, int64 [e].
        at: own times, int64 [e].
        last: the latest own time that was known of slots; NEVER for none.

    Returns:
        rows, own times and what is added, int64 [a] each.
    """
    if not len(rows):
        return rows, at, at
    ordered, order = sorted_by(slots)
    rows, times, first = rows[order], at[order], np.concatenate([[True], ordered[1:] != ordered[:-1]])
    ranked, rank = np.unique(times, return_inverse=True)
    segment = (np.cumsum(first) - 1) * len(ranked)  # the running maximum cannot reach across segments
    latest = ranked[np.maximum.accumulate(segment + rank) - segment]
    before = np.maximum(np.where(first, NEVER, np.concatenate([times[:1], latest[:-1]])), last(ordered))
    rises = times > before
    again = rises & (before != NEVER)
    added = np.concatenate([np.ones(int(rises.sum()), np.int64), np.full(int(again.sum()), -1)])
    return np.concatenate([rows[rises], rows[again]]), np.concatenate([times[rises], before[again]]), added
