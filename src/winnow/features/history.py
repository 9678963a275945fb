"""What was known at any past moment, computed from the history of events and table rows."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from winnow.data.schema import Events, Path, Table
from winnow.encoders.base import Encoder
from winnow.encoders.encodings import Encodings, vectors_in
from winnow.features.aggregate import Aggregate
from winnow.features.batch import Floats, Ints
from winnow.features.group import Group
from winnow.features.source import Log, Source, Streamed, needed, read
from winnow.features.spill import Budget, Shelf, Shelves
from winnow.features.straddlers import Straddlers
from winnow.features.versions import Tables, Versions

__all__ = ["WITHOUT_LIMIT", "Budget", "Group", "HistoryState", "Source", "Straddlers", "Versions"]

T = TypeVar("T")
WITHOUT_LIMIT = Budget()
_MANY = 4  # events per question from which on it is worth while to leave out those of other keys...
_TRIES = 3  # ...so many times, for new keys each time


class HistoryState:
    """`State` as of any moment. What an aggregate needs is sorted on its first use and kept.

    Args:
        source: the events and table rows.
        aggregates: those that will be asked for: what they need of an event type is read at once. What others need
            is read when they are asked for.
        budget: how much memory the events may take; what does not fit is spilled to files.
        encodings: the vectors of texts and images, if a feature needs any.
    """

    def __init__(
        self,
        source: Source,
        aggregates: Iterable[Aggregate] = (),
        *,
        budget: Budget = WITHOUT_LIMIT,
        encodings: Encodings | None = None,
    ):
        self._source, self._aggregates = source, tuple(aggregates)
        self._budget, self._encodings = budget, encodings
        self._tables = Tables(source)
        self._made: dict[Any, Any] = {}
        self._groups: dict[tuple[str, str], tuple[Group, int]] = {}

    def column(self, table: Table, column: str, rows: Ints, at: Ints) -> NDArray[Any]:
        versions = self._tables.versions(table)
        rows, at = np.broadcast_arrays(rows, at)
        return versions.column(column, versions.index(rows, versions.places.at(at)))

    def windows(self, aggregates: Sequence[Aggregate], keys: tuple[Ints, ...], at: Ints) -> list[Ints]:
        found: dict[Aggregate, Ints] = {}
        for events in {a.events.name: a.events for a in aggregates}.values():
            some = [a for a in aggregates if a.events.name == events.name]
            found |= zip(some, self._group(some, keys).windows(some, keys, at), strict=True)
        return [found[a] for a in aggregates]

    def recent(self, aggregate: Aggregate, keys: tuple[Ints, ...], at: Ints) -> tuple[Ints, Ints]:
        return self._group([aggregate], keys).recent(aggregate, keys, at)

    def vectors(self, encoder: Encoder, hashes: Ints) -> Floats:
        return vectors_in(self._encodings, encoder, hashes)

    def _once(self, name: Any, make: Callable[[], T]) -> T:
        if name not in self._made:
            self._made[name] = make()
        return cast(T, self._made[name])

    def _log(self, events: Events) -> Log:
        return self._once(("events", events.name), lambda: self._read(events))

    def _read(self, events: Events) -> Log:
        columns = needed(a for a in self._aggregates if a.events.name == events.name)
        return Log(events, read(self._source, events.name, columns), self._source)

    def _group(self, some: Sequence[Aggregate], keys: tuple[Ints, ...]) -> Group | Shelf:
        """The events of a type under a subject: in memory where they fit."""
        planned = self._aggregates if set(some) <= set(self._aggregates) else tuple(some)
        if self._once(("fits", planned), lambda: self._budget.fits(self._source, planned)):
            return self._in_memory(some[0], keys)
        source = cast(Streamed, self._source)
        shelves = self._once("shelves", lambda: Shelves(source, self._budget, self._tables))
        return shelves.of(some, planned)

    def _in_memory(self, aggregate: Aggregate, keys: tuple[Ints, ...]) -> Group:
        """The events of the keys asked for while those are few, else of all."""
        events, name = aggregate.events, (aggregate.events.name, aggregate.subject)
        group, tries = self._groups.get(name, (None, 0))
        if group is None or not group.covers(keys):
            log, columns = self._log(events), [self._keys(events, path) for path in aggregate.by]
            few = tries < _TRIES and _MANY * max(map(len, keys)) < len(log)
            group = Group(log, columns, np.broadcast_arrays(*keys) if few else None)
            self._groups[name] = group, tries + 1
        return group

    def _keys(self, events: Events, path: Path) -> Ints:
        """The key of every event along a path, as table rows stood at the event's place in the log."""
        log = self._log(events)
        log.need({events.role(path.table)})
        return self._once((events.name, "key", str(path)), lambda: self._tables.keys(events, path, log.columns))
