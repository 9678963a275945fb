"""The graph of a bond: who was tied to whom at a moment, from the events that make ties and end them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from winnow.data.graph import Graph, Ints
from winnow.data.ties import Bond, Tie

Columns = Mapping[str, NDArray[Any]]


def standing(bond: Bond, made: Columns, undone: Columns, *, size: int, before: int) -> Graph:
    """The ties of a bond within one table that stood at a moment, each with the time at which it was last made.

    Args:
        bond: the bond; one that is not mutual ties both ends here while it stands in either direction.
        made: the events that make it: a column for each role, `at` and `known_at`, int64 [n].
        undone: the events that end it, the same columns.
        size: rows of the table.
        before: what was known before this moment counts, microseconds UTC.
    """
    sides = [_told(bond.made, made, before), _told(bond.undone, undone, before)]
    one, two, at = (np.concatenate(columns) for columns in zip(*sides, strict=True))
    makes = np.repeat([True, False], [len(side[0]) for side in sides])
    if bond.mutual:
        one, two = np.minimum(one, two), np.maximum(one, two)
    order = np.lexsort((~makes, at, two, one))  # at the same moment the end comes last: then it does not stand
    one, two, at, makes = one[order], two[order], at[order], makes[order]
    last = np.append((one[1:] != one[:-1]) | (two[1:] != two[:-1]), True)[: len(one)]
    stands = last & makes
    return Graph.of(one[stands], two[stands], at[stands], size=size, as_of=before)


def _told(tie: Tie, events: Columns, before: int) -> tuple[Ints, Ints, Ints]:
    """Both ends and the own time of what was known."""
    first, last = tie.ends
    known = np.asarray(events["known_at"]) < before
    return tuple(np.asarray(events[name], np.int64)[known] for name in (first, last, "at"))  # type: ignore[return-value]
