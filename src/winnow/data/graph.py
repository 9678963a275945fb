"""A graph of mutual ties between rows of one table, as a snapshot: neighbours lie side by side, in mapped files.

Shapes: P rows, E ties, each stored from both ends; n asked rows or pairs, m what they lead to.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from winnow.core.errors import InputError, Problem

Ints = NDArray[np.int64]
Rows = NDArray[np.int32]
Mask = NDArray[np.bool_]

NEVER = int(np.iinfo(np.int64).min)
_FACTS = "graph.json"
_FILES = ("starts", "ends", "times")
_MOST = np.iinfo(np.int32).max


class Fan(NamedTuple):
    """The ties of several rows.

    Args:
        place: which of the asked rows each belongs to, ascending, int64 [m].
        ends: who is at the other end, int32 [m].
        times: when it was made, microseconds UTC, int64 [m].
    """

    place: Ints
    ends: Rows
    times: Ints


@dataclass(frozen=True, eq=False)
class Graph:
    """Who is tied to whom. Rows beyond its size, and negative ones, are tied to nobody.

    Args:
        starts: where each row's ties begin, int64 [P + 1].
        ends: the other ends, ascending for each row, int32 [2E].
        times: when each tie was made, microseconds UTC, int64 [2E].
        as_of: only what was known before this moment is in; 0 when nobody said.
    """

    starts: Ints
    ends: Rows
    times: Ints
    as_of: int = 0

    @classmethod
    def of(cls, first: ArrayLike, second: ArrayLike, at: ArrayLike | None = None, *, size: int, as_of: int = 0) -> Self:
        """From ties in any order, each named from either end or from both: the newest time of a pair stays. What ties
        a row to itself or to a row outside is left out.

        Args:
            first, second: rows, int [E].
            at: when each was made, microseconds UTC, int64 [E]; 0 when left out.
            size: P.
            as_of: see the class.

        Raises:
            InputError: `graph-too-large` for more than 2³¹ - 1 rows.
        """
        if size > _MOST:
            raise InputError(Problem("graph-too-large", f"{size} rows do not fit a graph", fix=f"at most {_MOST} rows"))
        one, two = np.asarray(first, np.int64), np.asarray(second, np.int64)
        times = np.zeros(len(one), np.int64) if at is None else np.asarray(at, np.int64)
        inside = (one >= 0) & (two >= 0) & (one < size) & (two < size) & (one != two)
        one, two, times = one[inside], two[inside], times[inside]
        keys, times = _newest(np.minimum(one, two) * size + np.maximum(one, two), times)
        low, high = np.divmod(keys, max(size, 1))
        return cls._sorted(np.append(low, high), np.append(high, low), np.append(times, times), size=size, as_of=as_of)

    @classmethod
    def _sorted(cls, one: Ints, two: Ints, times: Ints, *, size: int, as_of: int) -> Self:
        """From ties that are already given from both ends, once each."""
        order = np.argsort(one * size + two)
        starts = np.zeros(size + 1, np.int64)
        np.cumsum(np.bincount(one, minlength=size), out=starts[1:])
        return cls(starts, two[order].astype(np.int32), times[order], as_of)

    @property
    def size(self) -> int:
        """How many rows it has."""
        return len(self.starts) - 1

    @property
    def edges(self) -> int:
        """How many ties."""
        return len(self.ends) // 2

    def spans(self, rows: Ints) -> tuple[Ints, Ints]:
        """Where the ties of rows lie within `ends`: begin and end, int64 [n] each; equal for rows outside."""
        inside = (rows >= 0) & (rows < self.size)
        known = np.where(inside, rows, 0)
        if not self.size:
            return known, known
        begin = self.starts[known]
        return begin, np.where(inside, self.starts[known + 1], begin)

    def degrees(self, rows: ArrayLike) -> Ints:
        """How many ties each row has, int64 [n]."""
        begin, end = self.spans(np.asarray(rows, np.int64))
        return end - begin

    def neighbours(self, row: int) -> Rows:
        """Who is tied to a row, ascending, int32 [d]."""
        return self.ends[self.starts[row] : self.starts[row + 1]] if 0 <= row < self.size else self.ends[:0]

    def gather(self, rows: ArrayLike) -> Fan:
        """The ties of rows, int [n], row after row."""
        place, at = spread(*self.spans(np.asarray(rows, np.int64)))
        return Fan(place, self.ends[at], self.times[at])

    def since(self, first: ArrayLike, second: ArrayLike) -> Ints:
        """When the tie between two rows was made, int64 [n]; NEVER where there is none. Either side may be one row."""
        one, two = np.broadcast_arrays(np.asarray(first, np.int64), np.asarray(second, np.int64))
        begin, end = self.spans(one)
        at = lower_bound(self.ends, begin, end, wanted=two)
        found = at < end
        at = np.where(found, at, 0)
        return np.where(found & (self.ends[at] == two), self.times[at], NEVER) if len(self.ends) else _never(one)

    def tied(self, first: ArrayLike, second: ArrayLike) -> Mask:
        """Whether two rows are tied, bool [n]."""
        return np.asarray(self.since(first, second) != NEVER)

    def degrees_before(self, rows: ArrayLike, moments: ArrayLike) -> Ints:
        """How many of a row's ties were made before a moment, int64 [n]."""
        asked, at = np.broadcast_arrays(np.asarray(rows, np.int64), np.asarray(moments, np.int64))
        begin, end = self.spans(asked)
        return lower_bound(self._times_in_order, begin, end, wanted=at) - begin

    @cached_property
    def _times_in_order(self) -> Ints:
        """`times`, ascending for each row."""
        owner = np.repeat(np.arange(self.size), np.diff(self.starts))
        return self.times[np.lexsort((self.times, owner))]

    def pairs(self) -> tuple[Rows, Rows, Ints]:
        """Every tie once, the lower row first: rows int32 [E] twice, and times."""
        owner = np.repeat(np.arange(self.size, dtype=np.int32), np.diff(self.starts))
        once = owner < self.ends
        return owner[once], self.ends[once], self.times[once]

    def without(self, first: ArrayLike, second: ArrayLike) -> "Graph":
        """The same graph less some ties."""
        low, high, times = self.pairs()
        gone = _keys(np.asarray(first, np.int64), np.asarray(second, np.int64), self.size)
        kept = ~np.isin(low.astype(np.int64) * self.size + high, gone)
        return Graph.of(low[kept], high[kept], times[kept], size=self.size, as_of=self.as_of)

    def save(self, folder: Path) -> None:
        """Writes its arrays into a folder, and what they are last."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in _FILES:
            np.save(folder / f"{name}.npy", getattr(self, name))
        (folder / _FACTS).write_text(json.dumps({"rows": self.size, "ties": self.edges, "as_of": self.as_of}))

    @classmethod
    def open(cls, folder: Path) -> Self:
        """What `save` wrote, mapped into memory.

        Raises:
            InputError: `graph-corrupt` when a file is missing or does not fit the others.
        """
        try:
            facts = json.loads((folder / _FACTS).read_bytes())
            arrays = [np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in _FILES]
            starts, ends, times = (np.asarray(a) for a in arrays)  # plain arrays over the maps: cheaper to index
            if len(starts) != facts["rows"] + 1 or not len(ends) == len(times) == starts[-1] == 2 * facts["ties"]:
                raise ValueError("the lengths of its files differ from what it says")
            return cls(starts, ends, times, int(facts["as_of"]))
        except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
            what, why = f"the graph in {folder.name} cannot be used: {error}", "ties would be missing unseen"
            raise InputError(Problem("graph-corrupt", what, str(folder), why, "make the snapshot again")) from error


def spread(begin: Ints, end: Ints) -> tuple[Ints, Ints]:
    """All places of several spans one after the other: which span, and the place, int64 [m] each."""
    many = end - begin
    place = np.repeat(np.arange(len(begin)), many)
    return place, np.arange(len(place)) + np.repeat(begin - np.cumsum(many) + many, many)


def lower_bound(values: NDArray[np.integer], begin: Ints, end: Ints, *, wanted: Ints) -> Ints:
    """The first place of each span whose value is at least what is wanted; the span's end when there is none.

    Args:
        values: ascending within each span.
        begin, end: spans, int64 [n].
        wanted: int64 [n].
    """
    low, high = begin.copy(), end.copy()
    for _ in range(int((end - begin).max(initial=0)).bit_length()):
        middle = (low + high) >> 1
        open_ = low < high
        less = open_ & (values[np.where(open_, middle, 0)] < wanted)
        low, high = np.where(less, middle + 1, low), np.where(open_ & ~less, middle, high)
    return low


def joined(parts: Iterable[Ints]) -> Ints:
    """Arrays one after the other; empty for none."""
    return np.concatenate([np.empty(0, np.int64), *parts])


def _newest(keys: Ints, times: Ints) -> tuple[Ints, Ints]:
    """Distinct keys, ascending, each with the latest of its times."""
    order = np.lexsort((times, keys))
    keys, times = keys[order], times[order]
    last = np.append(keys[1:] != keys[:-1], True)[: len(keys)]
    return keys[last], times[last]


def _keys(one: Ints, two: Ints, size: int) -> Ints:
    return np.minimum(one, two) * size + np.maximum(one, two)


def _never(rows: Ints) -> Ints:
    return np.full(rows.shape, NEVER)
