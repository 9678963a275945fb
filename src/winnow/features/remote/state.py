"""Reading the copy in Redis with the code that reads the tables in shared memory."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

import numpy as np

from winnow.encoders.encodings import Encodings
from winnow.features.aggregate import Aggregate
from winnow.features.batch import Ints
from winnow.features.live.layout import Entry
from winnow.features.live.pairs import packed
from winnow.features.live.records import Reading
from winnow.features.live.state import LiveState
from winnow.features.live.tables import Tables
from winnow.features.remote.cache import Cache
from winnow.features.remote.fetched import Fetched, Habits
from winnow.features.remote.racks import Rack, racks

_NO_PAIR = -1


class Generation:
    """The layout of one copy of the tables.

    Args:
        token: its name.
        entries: the tables, by name.
        cache_mb: memory for lines that were fetched.
    """

    def __init__(self, token: str, entries: Mapping[str, Entry], *, cache_mb: int):
        self.token, self.entries = token, dict(entries)
        self.racks = racks(entries)
        self.rack_of = {sheet: rack for rack in self.racks for sheet in rack.sheets}
        self.read: dict[tuple[str, ...], list[tuple[str, list[int], Reading]]] = {}  # shared by all states
        self.habits, self.cache = Habits(), Cache(cache_mb)

    @cached_property
    def rack_for(self) -> dict[str, Rack]:
        """Aggregate → where it is kept."""
        kept = {a: name for name, entry in self.entries.items() for a in entry.get("cells", ())}
        kept |= {name: name for name, entry in self.entries.items() if entry["form"] == "lists"}
        return {aggregate: self.rack_of[name] for aggregate, name in kept.items()}


class FetchedSheet:
    """A `Sheet` of lines in Redis.

    Args:
        fetched: gets the lines.
        rack: where they lie.
        name: which of the rack's sheets this is.
    """

    def __init__(self, fetched: Fetched, rack: Rack, name: str):
        self._fetched, self._rack, self._start = fetched, rack, rack.starts[name]
        self.width = rack.widths[rack.sheets.index(name)]

    def columns(self, rows: Ints, places: Ints) -> Ints:
        """See `Sheet.columns`."""
        return self._fetched.of(self._rack, rows).columns(places + self._start)

    def lines(self, rows: Ints) -> Ints:
        """See `Sheet.lines`."""
        return self._fetched.of(self._rack, rows).cells(self._start + np.arange(self.width))


class PackedPairs:
    """Stands in for the index of pairs: in Redis a line lies under its pair, which needs no look-up."""

    def find(self, first: Ints, second: Ints) -> Ints:
        """A row number for each pair; -1 where one of the two is missing."""
        return np.where((first < 0) | (second < 0), _NO_PAIR, packed(first, second))


class RedisTables(Tables):
    """The tables of one generation in Redis, as one look-up sees them: what `Tables` reads, read from there.

    Args:
        generation: the layout.
        fetched: gets the lines.
    """

    def __init__(self, generation: Generation, fetched: Fetched):
        self.entries, self._read = generation.entries, generation.read
        self._generation, self._fetched = generation, fetched

    @property
    def watermark(self) -> int:
        """Every event known before this moment is in it."""
        return self._fetched.head.watermark

    def sheet(self, name: str) -> FetchedSheet:
        """See `Tables.sheet`."""
        self.entry(name)
        return FetchedSheet(self._fetched, self._generation.rack_of[name], name)

    def pairs(self, subject: str) -> PackedPairs:  # type: ignore[override]
        """See `Tables.pairs`."""
        return PackedPairs()

    def reload(self) -> None:
        """Nothing: another layout is another generation."""

    def want(self, tables: Iterable[str], rows: Ints) -> None:
        """Gets the lines of rows of tables that are about to be read."""
        for table in tables:
            self._fetched.of(self._generation.rack_of[table], rows)

    def ahead(self, wanted: Iterable[tuple[Aggregate, Ints]]) -> None:
        """Gets the lines of aggregates that are about to be read, for the rows of their keys."""
        racks = self._generation.rack_for
        kept = ((racks[a.name], rows) for a, rows in wanted if a.name in racks)
        self._fetched.together(list({(rack.code, id(rows)): (rack, rows) for rack, rows in kept}.values()))


class RedisState(LiveState):
    """`State` as of now, from the copy in Redis. See `LiveState`.

    Args:
        tables: the tables as one look-up sees them.
        encodings: the vectors of texts and images, if a feature needs any.
    """

    _tables: RedisTables

    def __init__(self, tables: RedisTables, encodings: Encodings | None = None):
        self._tables, self._encodings = tables, encodings
        self._slots = {}

    @property
    def as_of(self) -> int:  # type: ignore[override]
        """The moment as of which it is exact; known once something has been read."""
        return self._tables.watermark

    def ahead(self, wanted: Sequence[tuple[Aggregate, tuple[Ints, ...]]]) -> None:
        """Gets all lines that are about to be read in one round trip: see `view.Ahead`."""
        self._tables.ahead([(a, self._rows(a, keys)) for a, keys in wanted])

    def windows(self, aggregates: Sequence[Aggregate], keys: tuple[Ints, ...], at: Ints) -> list[Ints]:
        """Gets all lines before `as_of` is asked for, which else would be a round trip of its own."""
        if aggregates:
            readings = self._tables.readings(aggregates)
            self._tables.want((table for table, _, _ in readings), self._rows(aggregates[0], keys))
        return super().windows(aggregates, keys, at)
