"""Expectations at the edge: which of the rows that come in break one, by columns."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from winnow.core.time import iso
from winnow.data.checks import Fault
from winnow.data.chunk import NO_TIME
from winnow.data.columns import Mask, Parsed
from winnow.data.expectations.declare import ColumnExpectation, Group
from winnow.data.expectations.file import number
from winnow.data.schema import Storage

_FIX = "correct it at its source; where the value is right, change expectations.toml and replay the quarantine"
_MISSING = {"number": np.nan, "time": NO_TIME, "flag": -1}


@dataclass(frozen=True, eq=False)
class Broken:
    """Rows that break expectations.

    Args:
        refused: those that are set aside.
        counted: those that are let in.
    """

    refused: list[Fault]
    counted: list[Fault]


class Rules:
    """The expectations of one event type or table, ready for columns.

    Args:
        group: what is expected.
    """

    def __init__(self, group: Group) -> None:
        self.producer = group.producer
        self._columns = {name: _Rule(name, column) for name, column in group.columns.items()}

    def broken(self, parsed: Mapping[str, Parsed], rows: int) -> Broken:
        """The expectations that some rows break.

        Args:
            parsed: column → values; a column that was not sent counts as missing in every row.
            rows: how many.
        """
        found = Broken([], [])
        for name, rule in self._columns.items():
            for refuse, fault in rule.faults(parsed.get(name), rows):
                (found.refused if refuse else found.counted).append(fault)
        return found


class _Rule:
    """What a single row can break in one column."""

    def __init__(self, name: str, expected: ColumnExpectation) -> None:
        self._name, self._kind, self._refuse = name, expected.kind, expected.level == "refuse"
        self._needed = expected.missing == 0
        self._usual = _Range(expected.at_least, expected.at_most)
        self._hard = _Range(expected.never_below, expected.never_above)
        self._values = frozenset(expected.values or ()) if expected.others == 0 else None

    def faults(self, column: Parsed | None, rows: int) -> Iterator[tuple[bool, Fault]]:
        """Whether rows are refused, and which."""
        if self._needed and (missing := _missing(column, rows, self._kind)) is not None:
            yield from self._found(self._refuse, "is missing", unexpected_missing=missing)
        if column is None:
            return
        if self._kind in ("number", "time"):
            yield from self._outside(column.values, self._hard, refuse=True, word="never")
            yield from self._outside(column.values, self._usual, refuse=self._refuse, word="not")
        if self._values is not None and (odd := _others(column.values, self._values)) is not None:
            yield from self._found(self._refuse, f"is none of the {len(self._values)} known values",
                                   unexpected_value=odd)  # fmt: skip

    def _outside(self, values: NDArray[Any], span: "_Range", *, refuse: bool, word: str) -> Iterator[tuple[bool, Fault]]:
        if (rows := span.below(values)) is not None:
            yield from self._found(refuse, f"is below {span.low_text}: expected {word} to be", below_expected=rows)
        if (rows := span.above(values)) is not None:
            yield from self._found(refuse, f"is above {span.high_text}: expected {word} to be", above_expected=rows)

    def _found(self, refuse: bool, reason: str, **faults: Mask) -> Iterator[tuple[bool, Fault]]:
        for code, rows in faults.items():
            yield refuse, Fault(self._name, code.replace("_", "-"), rows, reason, _FIX)


class _Range:
    """Bounds of numbers or moments; missing values are within."""

    def __init__(self, low: float | datetime | None, high: float | datetime | None) -> None:
        self._low = None if low is None else number(low)
        self._high = None if high is None else number(high)
        self.low_text, self.high_text = _bound(low), _bound(high)

    def below(self, values: NDArray[Any]) -> Mask | None:
        if self._low is None or not (rows := values < self._low).any():
            return None
        if values.dtype == np.int64:
            rows &= values != NO_TIME
        return rows if rows.any() else None

    def above(self, values: NDArray[Any]) -> Mask | None:
        if self._high is None or not (rows := values > self._high).any():
            return None
        return rows


def _bound(bound: float | datetime | None) -> str:
    if bound is None:
        return ""
    return iso(int(number(bound))) if isinstance(bound, datetime) else f"{bound:g}"


def _missing(column: Parsed | None, rows: int, kind: Storage) -> Mask | None:
    """The rows without a value; values that do not parse have a fault of their own already."""
    if column is None:
        return np.ones(rows, dtype=bool)
    values = column.values
    if isinstance(values, list):
        if all(values):
            return None
        mask = np.array([not v for v in values], dtype=bool)
    else:
        mask = np.isnan(values) if kind == "number" else values == _MISSING[kind]
    for faulty in column.faults.values():
        mask &= ~faulty
    return mask if mask.any() else None


def _others(values: list[Any], known: frozenset[str]) -> Mask | None:
    """The rows with a value that is not known; almost always there is none, and a set of the values tells."""
    several = any(isinstance(v, list) for v in values[:100])
    flat = chain.from_iterable(filter(None, values)) if several else values
    odd = set(flat) - known - {None}
    if not odd:
        return None
    series = pl.Series(values, dtype=pl.List(pl.String) if several else pl.String)
    rows = series.list.eval(pl.element().is_in(odd)).list.any() if several else series.is_in(odd)
    return rows.fill_null(False).to_numpy()
