"""Columns of the history as samples: what is missing, what is known, and how two samples differ."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from winnow.data.chunk import NO_TIME
from winnow.data.schema import Storage

Z = 3.1  # normal quantile of one in a thousand: how unlikely chance must be before anything is said
_LEAST = 1e-4


@dataclass(frozen=True, eq=False)
class Sample:
    """The values of one column in some rows.

    Args:
        rows: how many rows.
        missing: how many of them have no value.
        known: the values that there are: float64 numbers, int64 moments, flags or row numbers; of lists, their members.
    """

    rows: int
    missing: int
    known: NDArray[Any]

    @classmethod
    def of(cls, column: pl.Series, kind: Storage) -> "Sample":
        """A column as `History` gives it."""
        if kind == "categories":
            empty = column.list.len() == 0
            return cls(len(column), int(empty.sum()), column.explode(empty_as_null=False).to_numpy())
        if kind == "text":
            there = column.fill_null("") != ""
            return cls(len(column), len(column) - int(there.sum()), np.empty(0))
        values = column.to_numpy()
        known = values[~np.isnan(values) if kind == "number" else values != (NO_TIME if kind == "time" else -1)]
        return cls(len(values), len(values) - len(known), known)

    @property
    def missing_share(self) -> float:
        return self.missing / self.rows if self.rows else 0.0


def bins(known: NDArray[np.float64], edges: Sequence[float]) -> NDArray[np.int64]:
    """How many values lie in each bin, int64 [len(edges) + 1]; an edge belongs to the bin below it.

    >>> bins(np.array([1.0, 2.0, 3.0]), [2.0]).tolist()
    [2, 1]
    """
    return np.bincount(np.searchsorted(np.asarray(edges), known, "left"), minlength=len(edges) + 1)


def listed(known: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many values are each of `rows`, and how many are none of them (last), int64 [len(rows) + 1]."""
    counts = np.bincount(known, minlength=max(int(rows.max(initial=-1)) + 1, 1))
    of = np.where(rows >= 0, counts[np.maximum(rows, 0)], 0)
    return np.append(of, len(known) - of.sum())


def psi(expected: Sequence[float], counts: NDArray[np.int64], learned: int) -> tuple[float, float]:
    """The population stability index of counts against expected shares, and how much of it chance alone explains.

    PSI = Σ_b (c_b − e_b) ln(c_b / e_b). Between samples of one distribution of sizes n and m, PSI / (1/n + 1/m)
    follows a chi square with bins − 1 degrees of freedom.

    Args:
        expected: share of each bin, [b].
        counts: values in each bin, [b].
        learned: how many values the shares were learned from.

    Source: Yurdakul and Naranjo, Statistical properties of the population stability index, Journal of Risk Model
    Validation 14 (2020).

    >>> psi([0.5, 0.5], np.array([10, 10]), 20)[0]
    0.0
    """
    total = int(counts.sum())
    if not total:
        return 0.0, 0.0
    low = np.maximum(np.asarray(expected, float), max(_LEAST, 0.5 / max(learned, 1)))
    # An empty bin counts as half a value, so that missing it is no infinite distance; if that was expected, as nothing.
    high = np.where(counts > 0, counts / total, np.minimum(low, 0.5 / total))
    free = max(len(expected) - 1, 1)
    # Wilson and Hilferty's approximation of the quantile: scipy would take longer to load than the check to run.
    quantile = free * (1 - 2 / (9 * free) + Z * math.sqrt(2 / (9 * free))) ** 3
    return float(np.sum((high - low) * np.log(high / low))), quantile * (1 / max(learned, 1) + 1 / total)


def room(share: float, rows: int) -> float:
    """How far above an expected share a sample of some rows may come by chance.

    >>> round(room(0.0, 961), 6)
    0.01
    """
    return (Z * math.sqrt(share * (1 - share) * rows) + Z * Z) / rows if rows else 1.0


def up(value: float, digits: int = 2) -> float:
    """The next number above that has few digits.

    >>> up(1234.5), up(0.01234), up(-1234.5)
    (1300.0, 0.013, -1200.0)
    """
    value = float(value)  # of numpy's own kinds of numbers, which no file is written from
    if not value:
        return value
    exact = Decimal(f"{value:.12g}")
    return max(float(exact.quantize(Decimal(1).scaleb(exact.adjusted() - digits + 1), ROUND_CEILING)), value)


def down(value: float, digits: int = 2) -> float:
    """The next number below that has few digits."""
    return -up(-value, digits)
