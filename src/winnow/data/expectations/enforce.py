"""Expectations at the edge: which of the rows that come in break one, by columns."""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import chain
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from winnow.core.time import MICROS, iso
from winnow.data.checks import Checked, Fault
from winnow.data.chunk import NO_TIME
from winnow.data.columns import Mask, Parsed
from winnow.data.expectations.declare import ColumnExpectation, Group
from winnow.data.expectations.file import number
from winnow.data.expectations.tally import Note
from winnow.data.schema import Storage
from winnow.data.spec import Spec

_FIX = "correct it at its source; where the value is right, change expectations.toml and replay the quarantine"
_PRODUCERS = 50  # told apart in one batch; there are few, unless the column does not name producers
_MISSING = {"number": np.nan, "time": NO_TIME, "flag": -1}


class Rules:
    """The expectations of one event type or table, ready for columns.

    Args:
        group: what is expected.
    """

    def __init__(self, group: Group) -> None:
        self._producer = group.producer
        self._columns = {name: _Rule(name, column) for name, column in group.columns.items()}

    def broken(self, spec: Spec, parsed: Mapping[str, Parsed], rows: int) -> tuple[list[Fault], list[Fault]]:
        """The expectations that some rows break: those that set the rows aside, and those that are only counted.

        Args:
            spec: of the rows.
            parsed: column → values, for the columns that were sent.
            rows: how many.
        """
        refused: list[Fault] = []
        counted: list[Fault] = []
        lives = _lives(parsed, rows)
        for name, rule in self._columns.items():
            # A table row leaves a column that it does not name as it was; an event has no value there.
            if name in parsed or spec.kind == "event":
                for refuse, fault in rule.faults(parsed.get(name), lives):
                    (refused if refuse else counted).append(fault)
        return refused, counted

    def notes(self, spec: Spec, checked: Checked, now: int, *, sent: bool) -> Iterator[Note]:
        """What to count about rows that are let in.

        Args:
            spec: of the rows.
            checked: what was found.
            now: the present, by which clocks are judged.
            sent: whether they were sent just now, rather than imported from an old log.
        """
        for fault in checked.counted:
            if rows := int((fault.rows & checked.good).sum()):
                yield Note(spec.kind, spec.name, fault.field, fault.code, rows)
        if spec.kind == "event" and sent:
            yield from self._clocks(spec, checked, now)

    def _clocks(self, spec: Spec, checked: Checked, now: int) -> Iterator[Note]:
        senders = checked.parsed.get(self._producer)
        taken = Counter([""] if senders is None else senders.only(checked.good))
        for who, rows in taken.most_common(_PRODUCERS):
            total = int(checked.good.sum()) if senders is None else rows
            yield Note("event", spec.name, spec.time, "taken", total, who or "")
        early = np.flatnonzero((checked.sent > now) & checked.good)
        names = np.array([senders.values[i] or "" if senders else "" for i in early.tolist()])
        for who in np.unique(names).tolist()[:_PRODUCERS]:
            seconds = (checked.sent[early[names == who]] - now) / MICROS
            amount, most = float(seconds.sum()), float(seconds.max())
            yield Note("event", spec.name, spec.time, "ahead", len(seconds), who, amount, most)


def _lives(parsed: Mapping[str, Parsed], rows: int) -> Mask:
    """Rows that are not deletions, which clear every column."""
    deleted = parsed.get("deleted")
    return np.ones(rows, dtype=bool) if deleted is None else deleted.values != 1


class _Rule:
    """What a single row can break in one column."""

    def __init__(self, name: str, expected: ColumnExpectation) -> None:
        self._name, self._kind, self._refuse = name, expected.kind, expected.level == "refuse"
        self._needed = expected.missing == 0
        self._usual = _Range(expected.at_least, expected.at_most)
        self._hard = _Range(expected.never_below, expected.never_above)
        self._values = frozenset(expected.values or ()) if expected.others == 0 else None

    def faults(self, column: Parsed | None, lives: Mask) -> Iterator[tuple[bool, Fault]]:
        """Whether rows are refused, and which."""
        if self._needed and (missing := _missing(column, lives, self._kind)) is not None:
            yield from self._found(self._refuse, "is missing", unexpected_missing=missing)
        if column is None:
            return
        if self._kind in ("number", "time"):
            yield from self._outside(column.values, self._hard, refuse=True, word="possible")
            yield from self._outside(column.values, self._usual, refuse=self._refuse, word="usual")
        if self._values is not None and (odd := self._others(column.values)) is not None:
            reason = f"is none of the {len(self._values)} known values"
            yield from self._found(self._refuse, reason, unexpected_value=odd)

    def _outside(
        self, values: NDArray[Any], span: "_Range", *, refuse: bool, word: str
    ) -> Iterator[tuple[bool, Fault]]:
        if (rows := span.below(values)) is not None:
            yield from self._found(refuse, f"is below {span.low_text}, the smallest {word} value", below_expected=rows)
        if (rows := span.above(values)) is not None:
            yield from self._found(refuse, f"is above {span.high_text}, the largest {word} value", above_expected=rows)

    def _found(self, refuse: bool, reason: str, **faults: Mask) -> Iterator[tuple[bool, Fault]]:
        for code, rows in faults.items():
            yield refuse, Fault(self._name, code.replace("_", "-"), rows, reason, _FIX)

    def _others(self, values: list[Any]) -> Mask | None:
        """The rows with a value that is not known; almost always there is none, and a set of the values tells."""
        several = self._kind == "categories"
        odd = set(chain.from_iterable(filter(None, values)) if several else values) - (self._values or set()) - {None}
        if not odd:
            return None
        series = pl.Series(values, dtype=pl.List(pl.String) if several else pl.String)
        rows = series.list.set_intersection(list(odd)).list.len() > 0 if several else series.is_in(list(odd))
        return rows.fill_null(False).to_numpy()


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


def _missing(column: Parsed | None, lives: Mask, kind: Storage) -> Mask | None:
    """The rows without a value; those with a value that does not parse are among them, and have an earlier fault."""
    if column is None:
        return lives
    values = column.values
    if isinstance(values, list):
        if all(values):
            return None
        mask = lives & np.array([not v for v in values], dtype=bool)
    else:
        mask = lives & (np.isnan(values) if kind == "number" else values == _MISSING[kind])
    return mask if mask.any() else None
