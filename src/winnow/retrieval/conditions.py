"""Conditions on columns of items, as a search takes them: every index that filters while it searches reads these."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class OneOf:
    """The column has one of some values.

    Args:
        column: of the items: a category, several, a reference, a flag or a number.
        values: as the column holds them (row numbers of ids, 0 and 1 of flags).
    """

    column: str
    values: NDArray[np.int64] | NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Between:
    """The column, a number or a time in microseconds, lies within bounds, both of them included.

    Args:
        column: of the items.
        at_least: None for no lower bound.
        at_most: None for no upper bound.
    """

    column: str
    at_least: float | int | None = None
    at_most: float | int | None = None


Condition = OneOf | Between
