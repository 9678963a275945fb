"""Where history is read from, and the events of one type in the order in which they became known."""

from collections.abc import Collection, Iterable, Iterator
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from winnow.data.schema import Condition, Events
from winnow.features.aggregate import Aggregate
from winnow.features.batch import Ints
from winnow.features.keys import Columns, passing, used
from winnow.features.timeline import Places, Timeline, ascending, by_time, distinct, pieces

TIMES = ("seq", "at", "known_at")
WHOLE = 1 << 62  # rows: more than there can be


class Source(Protocol):
    """Where history lies. Arrays as in the log: int64 with -1 missing, numbers float64 with NaN missing, texts as
    lists of str or None, or as content hashes."""

    def events(self, name: str) -> Columns:
        """All events of a type: `seq`, `at`, `known_at`, roles and fields; any order."""
        ...

    def rows(self, table: str) -> Columns:
        """All versions of a table's rows: `seq`, `at`, `known_at`, `row`, `deleted` (0/1) and every column as it stood
        after the change; any order."""
        ...


@runtime_checkable
class Streamed(Protocol):
    """A source that reads only what is asked for, and in pieces."""

    def batches(self, name: str, columns: Collection[str], *, rows: int) -> Iterator[Columns]:
        """The events of a type in pieces of about `rows` rows; any order, the same at each call.

        Args:
            name: the event type.
            columns: what to read; those that the data does not have may be left out.
            rows: how many at a time; WHOLE for all at once.
        """
        ...


def read(source: Source, name: str, columns: Collection[str]) -> Columns:
    """Some columns of all events of a type."""
    if isinstance(source, Streamed):
        parts = list(source.batches(name, columns, rows=WHOLE))
        return parts[0] if len(parts) == 1 else {c: np.concatenate([p[c] for p in parts]) for c in parts[0]}
    whole = source.events(name)
    return {c: whole[c] for c in columns if c in whole}


def count(source: Streamed, name: str, *, rows: int) -> int:
    """How many events of a type there are; reads `rows` at a time."""
    return sum(len(batch["seq"]) for batch in source.batches(name, ["seq"], rows=rows))


def needed(aggregates: Iterable[Aggregate]) -> set[str]:
    """The columns of events that aggregates of one type read."""
    columns = set(TIMES)
    for a in aggregates:
        columns |= used(a) | {a.events.role(path.table) for path in a.by}
    return columns


class Log:
    """The events of one type in the order in which they became known. What is not there yet is read when needed.

    Args:
        events: the type.
        columns: `seq`, `at`, `known_at` and what is known to be needed.
        source: where further columns come from.
    """

    def __init__(self, events: Events, columns: Columns, source: Source | None = None):
        self.events, self._source = events, source
        self._order, self._read_seq = by_time(columns["known_at"], columns["seq"]), columns["seq"]
        self._looked = set(columns)
        self.columns: dict[str, NDArray[Any]] = {name: self._ordered(values) for name, values in columns.items()}
        self.seq, self.at, self.known_at = (self.columns[c] for c in TIMES)

    def __len__(self) -> int:
        return len(self.seq)

    def _ordered(self, values: NDArray[Any]) -> NDArray[Any]:
        values = np.asarray(values)
        return values if self._order is None else values[self._order]

    def need(self, names: Collection[str]) -> None:
        """Sees to it that columns are there, as far as the data has them."""
        names = set(names) - self._looked
        if not names or self._source is None:
            return
        self._looked |= names
        more = read(self._source, self.events.name, {"seq", *names})
        known: Any = slice(None)
        if not np.array_equal(more["seq"], self._read_seq):  # the history has grown since the first reading
            known = np.isin(more["seq"], self._read_seq)
        self.columns |= {name: self._ordered(more[name][known]) for name in names if name in more}

    def some(self, event: Ints, names: Collection[str]) -> Columns:
        """Some columns of some events."""
        self.need(names)
        found = {c: self.columns[c][event] for c in names if c in self.columns}
        return {"seq": event, **found}  # of `seq` readers take the length only

    def passed(self, conditions: tuple[Condition, ...], event: Ints) -> NDArray[np.bool_]:
        """Which of some events pass all tests."""
        return passing(self.events, self.some(event, {c.field for c in conditions}), conditions)

    @cached_property
    def places(self) -> Places:
        return Places(self.known_at, self.seq)

    @cached_property
    def any_late(self) -> bool:
        """Whether any event became known after its own time."""
        return self.at is not self.known_at and any((self.at[p] < self.known_at[p]).any() for p in pieces(len(self)))

    @cached_property
    def in_order(self) -> bool:
        """Whether the order of own time, ties by log order, is the order in which they became known."""
        return ascending(self.at) and by_time(self.at, self.seq) is None

    @cached_property
    def by_own(self) -> Ints:
        """The events in the order of own time, ties by log order: int64 [n]."""
        order = by_time(self.at, self.seq)
        return np.arange(len(self)) if order is None else order

    @cached_property
    def own_order(self) -> Ints:
        """The place of each event in that order: int64 [n]."""
        if self.in_order:
            return self.by_own
        place = np.empty(len(self), np.int64)
        place[self.by_own] = np.arange(len(self))
        return place

    @cached_property
    def own_at(self) -> Ints:
        """The own times, ascending."""
        return self.at if self.in_order else np.sort(self.at)

    def shuffled(self, lines: Timeline) -> Ints:
        """The keys of which an event became known after a newer one, sorted.

        Args:
            lines: events under their keys.
        """
        if self.in_order:
            return np.empty(0, np.int64)
        codes, own = lines.codes(slice(None)), lines.column(lambda event: self.own_order[event])
        return distinct(codes[1:][(own[1:] < own[:-1]) & (codes[1:] == codes[:-1])])
