"""Table rows as of any moment: every version of every row, found by row and place in the log."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from winnow.data.schema import Events, Kind, Path, Table, time
from winnow.features.batch import Ints
from winnow.features.keys import Columns, follow, missing, stored
from winnow.features.source import Source
from winnow.features.state import KNOWN_AT, SET_WIDTH
from winnow.features.timeline import Places, Timeline, by_time


class Tables:
    """The table rows of a source, each table read when it is first needed."""

    def __init__(self, source: Source):
        self._source = source
        self._made: dict[str, Versions] = {}

    def versions(self, table: Table) -> "Versions":
        """All versions of a table's rows."""
        if table.name not in self._made:
            self._made[table.name] = Versions(table, self._source.rows(table.name))
        return self._made[table.name]

    def keys(self, events: Events, path: Path, columns: Columns) -> Ints:
        """The keys of events along a path, as table rows stood at each event's place in the log.

        Args:
            events: their type.
            path: from one of its roles.
            columns: of n events: `seq`, `known_at` and the role.
        """

        def lookup(table: Table, column: str, rows: Ints) -> NDArray[Any]:
            versions = self.versions(table)
            place = versions.places.of(columns["known_at"], columns["seq"])
            return versions.column(column, versions.index(rows, place))

        return follow(events, path, columns, lookup)


class Versions:
    """All versions of a table's rows in the order in which they became known.

    Args:
        table: the table.
        columns: see `Source.rows`.
    """

    def __init__(self, table: Table, columns: Columns):
        self._order = by_time(columns["known_at"], columns["seq"])
        self._kinds: Mapping[str, Kind] = {**table.columns, KNOWN_AT: time}
        self._columns = columns
        self._deleted = self._ordered(columns["deleted"]) == 1
        self.places = Places(self._ordered(columns["known_at"]), self._ordered(columns["seq"]))
        rows = self._ordered(columns["row"])
        self._n_rows = int(rows.max(initial=-1)) + 1
        self._lines = Timeline(rows, None, size=len(rows))
        self._starts = self._lines.before(np.arange(self._n_rows + 1), 0)
        self._made: dict[str, NDArray[Any]] = {}

    def index(self, rows: Ints, places: Ints) -> Ints:
        """The version of each row that stands before a place, int64 [n]; -1 when there is none or it is deleted."""
        index = np.full(len(rows), -1)
        inside = np.flatnonzero((rows >= 0) & (rows < self._n_rows))
        line, place = rows[inside], places[inside]
        first, many = self._starts[line], np.diff(self._starts)[line]
        last = first.copy()  # most rows have one version, found without a search
        again = many > 1
        last[again] = self._lines.before(line[again], place[again]) - 1
        fits = (many > 0) & (last >= first)
        version = self._lines.places(last[fits])
        seen = (version < place[fits]) & ~self._deleted[version]
        index[inside[fits]] = np.where(seen, version, -1)
        return index

    def column(self, name: str, index: Ints) -> NDArray[Any]:
        """A column's values for versions; missing for -1. `known_at` is when a version became known."""
        return self._values(name)[index]  # the extra last value stands for -1

    def _ordered(self, values: Any) -> NDArray[Any]:
        return np.asarray(values) if self._order is None else np.asarray(values)[self._order]

    def _values(self, name: str) -> NDArray[Any]:
        if name not in self._made:
            kind = self._kinds[name]
            values = self._ordered(stored(self._columns, name, kind, self.places.size))
            last = np.full((1, SET_WIDTH) if values.ndim == 2 else 1, missing(kind), values.dtype)
            self._made[name] = np.concatenate([values, last])
        return self._made[name]
