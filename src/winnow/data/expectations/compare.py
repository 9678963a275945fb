"""Columns of what came in, held against what is expected of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from winnow.data.expectations.declare import ColumnExpectation, Group
from winnow.data.expectations.file import number
from winnow.data.expectations.finding import Finding, judge
from winnow.data.expectations.sample import Sample, bins, listed, psi, room
from winnow.data.ids import IdMap
from winnow.data.schema import Events, Table

SOME = 0.001  # of the rows may lie outside the usual range before it is worth a word


def columns(ids: IdMap, owner: Events | Table, group: Group, frame: pl.DataFrame, *, kind: str) -> Iterator[Finding]:
    """Every column of an event type or table held against what is expected of it.

    Args:
        ids: ids and row numbers.
        owner: the declaration.
        group: what is expected.
        frame: what came in.
        kind: `event` or `table`.
    """
    declared = owner.columns
    for name, expected in group.columns.items():
        if name in declared and len(frame):
            sample = Sample.of(frame[name], declared[name].storage)
            found = _Column(kind, owner.name, name, expected, sample, group.rows)
            yield from found.missing()
            yield from found.outside()
            if expected.values is not None:
                domain = owner.domain(name)
                yield from found.listed(ids.rows(domain, expected.values))
            yield from found.histogram()
            yield from never(owner.name, name, expected, frame[name], kind)


@dataclass(frozen=True, eq=False)
class _Column:
    """One column of what came in, and what it should be."""

    kind: str
    owner: str
    name: str
    expected: ColumnExpectation
    sample: Sample
    learned: int

    def _finding(self, measure: str, value: float, limit: float, rows: int, what: str) -> Finding:
        return Finding(self.kind, self.owner, self.name, measure, value, limit, rows, judge(value, limit), what)

    def missing(self) -> Iterator[Finding]:
        if self.expected.missing is None:
            return
        share, rows = self.sample.missing_share, self.sample.rows
        least = self.expected.missing or SOME
        what = f"{share:.2%} without a value; expected at most {self.expected.missing:.2%}"
        yield self._finding("missing", share, min(1.0, least + room(least, rows)), rows, what)

    def outside(self) -> Iterator[Finding]:
        low, high = self.expected.at_least, self.expected.at_most
        known = self.sample.known
        if (low is None and high is None) or not len(known):
            return
        out = np.zeros(len(known), bool)
        out |= known < number(low) if low is not None else False
        out |= known > number(high) if high is not None else False
        share = float(out.mean())
        what = f"{int(out.sum()):,} values outside {_span(low, high)}"
        # Of a range between the smallest and the largest of n values, about one in n of all others lies outside.
        least = SOME + room(0.0, self._known_before())
        yield self._finding("outside", share, min(1.0, least + room(least, len(known))), len(known), what)

    def listed(self, rows: NDArray[np.int64]) -> Iterator[Finding]:
        counts = listed(self.sample.known, rows)
        total = int(counts.sum())
        if not total:
            return
        if (limit := self.expected.others) is not None:
            share, least = float(counts[-1] / total), limit or SOME
            what = f"{share:.2%} of the values are not in the list; expected at most {limit:.2%}"
            yield self._finding("others", share, min(1.0, least + room(least, total)), total, what)
        if (shares := self.expected.shares) is not None and self.expected.psi:
            yield self._shift([*shares, max(0.0, 1 - sum(shares))], counts)

    def histogram(self) -> Iterator[Finding]:
        shares = self.expected.shares
        if shares is None or self.expected.psi is None or not len(self.sample.known):
            return
        if self.expected.kind == "number":
            yield self._shift(list(shares), bins(self.sample.known, self.expected.edges or ()))
        elif self.expected.kind == "flag":
            yield self._shift(list(shares), np.bincount(self.sample.known, minlength=2))

    def _known_before(self) -> int:
        """About how many values the expectation was learned from."""
        return max(1, round(self.learned * (1 - min(self.expected.missing or 0.0, 0.99))))

    def _shift(self, shares: list[float], counts: NDArray[np.int64]) -> Finding:
        value, noise = psi(shares, counts, self._known_before())
        limit = max(self.expected.psi or 0.0, noise)
        what = f"PSI {value:.3f}: {_moved(self.expected, shares, counts)}"
        return self._finding("psi", value, limit, int(counts.sum()), what)


def _moved(expected: ColumnExpectation, shares: list[float], counts: NDArray[np.int64]) -> str:
    """The bin that moved most, in words."""
    now = counts / max(counts.sum(), 1)
    worst = int(np.argmax(np.abs(now - np.asarray(shares))))
    return f"{_bin(expected, worst)} {shares[worst]:.1%} → {now[worst]:.1%}"


def _bin(expected: ColumnExpectation, place: int) -> str:
    if expected.kind == "flag":
        return ("false", "true")[place]
    if expected.kind == "number":
        edges = expected.edges or ()
        low = f"{edges[place - 1]:g} < " if place else ""
        return f"{low}value" + (f" ≤ {edges[place]:g}" if place < len(edges) else "")
    values = expected.values or ()
    return f"`{values[place]}`" if place < len(values) else "other values"


def _span(low: Any, high: Any) -> str:
    shown = [("" if v is None else f"{v:g}" if isinstance(v, float) else str(v)) for v in (low, high)]
    return f"{shown[0]} … {shown[1]}"


def never(
    name: str, column: str, expected: ColumnExpectation | None, values: pl.Series, kind: str
) -> Iterator[Finding]:
    """Rows that the edge would refuse: they landed before the file said so."""
    if expected is None or (expected.never_below is None and expected.never_above is None):
        return
    known = Sample.of(values, expected.kind).known
    low, high = expected.never_below, expected.never_above
    wrong = int((known < number(low)).sum()) if low is not None else 0
    wrong += int((known > number(high)).sum()) if high is not None else 0
    what = f"{wrong:,} values beyond {_span(low, high)}"
    yield Finding(kind, name, column, "never", wrong / max(len(known), 1), 0.0, len(known), judge(wrong, 0), what)
