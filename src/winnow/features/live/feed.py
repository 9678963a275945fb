"""From log chunks to writes: which cells change, and to what, worked out before anything is visible to readers."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from winnow.data.chunk import Chunk
from winnow.data.schema import Condition, Events, Kind, Path, Table, time
from winnow.features.aggregate import OWN_TIME, Aggregate
from winnow.features.batch import Ints
from winnow.features.keys import Columns, exploded, follow, missing, passing
from winnow.features.live.changes import Change, Changes, changed, merged, stood
from winnow.features.live.distinct import first_seen
from winnow.features.live.files import Write
from winnow.features.live.groups import Grouped
from winnow.features.live.layout import column_name, columns_of, distinct_name, pair_name
from winnow.features.live.records import Cells, Series
from winnow.features.live.room import Room
from winnow.features.live.tables import Tables
from winnow.features.live.values import Values

_TIMES = {"seq": time, "at": time, "known_at": time}
_MANY = 50_000  # events from which on threads are worth it
_Tests = tuple[Condition, ...]


@dataclass
class Prepared:
    """What one batch changes.

    Args:
        writes: the cells.
        refused: table → how many rows or pairs it had no room for.
        rows: table → the highest row that it holds now, plus one.
        watermark: the moment just after the last row became known.
    """

    writes: list[Write] = field(default_factory=list)
    refused: dict[str, int] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    watermark: int = 0

    def refuse(self, table: str, count: int) -> None:
        """Counts what a full table turned away."""
        if count:
            self.refused[table] = self.refused.get(table, 0) + count

    def fitting(self, tables: Iterable[str], rows: Ints, cap: int) -> NDArray[np.bool_]:
        """Which rows tables of one cap have room for; counts the others. bool [n]."""
        fits = (rows >= 0) & (rows < cap)
        highest = int(rows.max(initial=-1, where=fits)) + 1
        for table in tables:
            self.refuse(table, len(rows) - int(np.count_nonzero(fits)))
            self.rows[table] = max(self.rows.get(table, 0), highest)
        return fits

    def join(self, part: "Prepared") -> None:
        """Takes over what a part of the batch changes."""
        self.writes += part.writes
        for table, count in part.refused.items():
            self.refuse(table, count)
        for table, highest in part.rows.items():
            self.rows[table] = max(self.rows.get(table, 0), highest)


class Feed:
    """Works out what chunks change.

    Args:
        tables: the live tables as they stand.
        aggregates: those to keep.
        schema: the tables whose columns to keep.
        room: makes room in full tables of pairs.
        threads: how many work on a large batch.
    """

    def __init__(
        self,
        tables: Tables,
        aggregates: Iterable[Aggregate],
        schema: Iterable[Table],
        *,
        room: Room,
        threads: int = 1,
    ):
        self._tables, self._room, self._threads = tables, room, threads
        self._schema = {t.name: t for t in schema}
        self._sorts: dict[str, _Sort] = {}
        cells = tables.aggregates
        for a in dict.fromkeys(aggregates):
            self._sorts.setdefault(a.events.name, _Sort(a.events)).add(a, cells[a.name])

    def prepare(self, chunks: Sequence[Chunk], *, after: int, until: int) -> Prepared:
        """The writes for the rows with after < seq <= until."""
        span, prepared, changes = (after, until), Prepared(), Changes()
        for name, table in self._schema.items():
            changes |= changed(table, [c for c in chunks if c.kind == "row" and c.name == name], span)
        works = [w for sort in self._sorts.values() for w in self._works(sort, chunks, span, changes)]
        self._claim(works, prepared)
        tasks = [partial(self._counted, w) for w in works if len(w.event)]
        tasks += [partial(self._column, *place, change) for place, change in changes.items()]
        for part in self._each(tasks, sum(map(len, chunks))):
            prepared.join(part)
        prepared.watermark = max((int(c.ints("known_at").max()) + 1 for c in chunks if len(c)), default=0)
        return prepared

    def _each(self, tasks: "Sequence[partial[Prepared]]", rows: int) -> Iterator[Prepared]:
        """What tasks prepare, in their order."""
        if self._threads == 1 or rows < _MANY:
            yield from (task() for task in tasks)
            return
        with ThreadPoolExecutor(self._threads) as pool:
            yield from pool.map(lambda task: task(), tasks)

    def _works(self, sort: "_Sort", chunks: Sequence[Chunk], span: tuple[int, int], changes: Changes) -> "list[_Work]":
        """The events of one type under each of their keys."""
        columns = merged(sort.kinds, [c for c in chunks if c.kind == "event" and c.name == sort.events.name], span)
        if not len(columns["seq"]):
            return []
        keys = {p: follow(sort.events, p, columns, self._lookup(columns, changes)) for p in sort.paths}
        values = Values(sort.events, columns)
        passed = {tests: passing(sort.events, columns, tests) for tests in sort.tests}
        return [_Work(kept, values, [keys[p] for p in kept.by], passed) for kept in sort.kept.values()]

    def _claim(self, works: "list[_Work]", prepared: Prepared) -> None:
        """Turns keys into rows: of pairs their slots, which new ones get now."""
        subjects: dict[str, list[_Work]] = {}
        for work in works:
            subjects.setdefault(work.kept.subject, []).append(work)
        tasks = [partial(self._enter, members) for members in subjects.values()]
        for part in self._each(tasks, sum(len(w.event) for w in works)):
            prepared.join(part)

    def _enter(self, members: "list[_Work]") -> Prepared:
        """Turns the keys of one subject into rows, and tells the values of `distinct` series apart."""
        prepared, kept = Prepared(), members[0].kept
        if len(kept.by) > 1:
            keys = [np.concatenate([w.keys[i] for w in members]) for i in range(2)]
            at = np.concatenate([w.values.at[w.event] for w in members])
            slots = self._slots(pair_name(kept.subject), keys, at, prepared)
            ends = np.cumsum([len(w.event) for w in members])[:-1]
            for work, rows in zip(members, np.split(slots, ends), strict=True):
                work.only(rows >= 0, rows)
        for work in members:
            for series in work.kept.series:
                if series.a.kind == "distinct":
                    self._tell_apart(work, series, prepared)
        return prepared

    def _slots(self, name: str, keys: Sequence[Ints], at: Ints, prepared: Prepared) -> Ints:
        """The slots of pairs, of which events are told at these times; -1 where the table is full."""
        index = self._tables.index(name)
        slots, new = index.new(keys[0], keys[1])
        if len(new) > index.room:
            self._room.make(name, len(new) - index.room, busy=slots[slots >= 0])
        slots = index.enter(keys[0], keys[1], slots, new)
        fits = slots >= 0
        prepared.refuse(name, len(slots) - int(np.count_nonzero(fits)))
        prepared.writes.append(index.seen(slots[fits], at[fits]))
        return slots

    def _tell_apart(self, work: "_Work", series: "_Series", prepared: Prepared) -> None:
        """What the events of a `distinct` series add, and to which rows."""
        name, value = distinct_name(series.cells[0].table, series.a), work.values.field(series.a.value or "")
        cap = self._tables.entry(series.cells[0].table)["cap"]
        chosen = work.passed[series.a.conditions][work.event] & (value[work.event] >= 0) & (work.rows < cap)
        rows, event = work.rows[chosen], work.event[chosen]
        slots = self._slots(name, (rows, value[event]), work.values.at[event], prepared)
        fits = slots >= 0
        work.seen[name] = first_seen(
            rows[fits], slots[fits], work.values.at[event[fits]], self._tables.index(name).last
        )

    def _counted(self, work: "_Work") -> Prepared:
        """The writes of the events of one type under one subject."""
        prepared, names = Prepared(), work.kept.tables
        fits = prepared.fitting(names, work.rows, self._tables.entry(names[0])["cap"])
        work.only(fits, work.rows)
        whole = Grouped.of(work.rows, work.event, work.values.at[work.event])
        for tests in work.kept.tests if len(whole) else ():
            group = whole.only(work.passed[tests][whole.event])
            for series in work.kept.series:
                if series.a.conditions == tests:
                    prepared.writes += self._series(work, series, group)
            for a in work.kept.lists:
                if a.conditions == tests and len(group):
                    values = None if a.value is None else work.values.kept(a.value)[group.event]
                    prepared.writes += self._tables.lists(a).prepare(self._tables.shared(a.name), group, values)
        return prepared

    def _series(self, work: "_Work", series: "_Series", group: Grouped) -> Iterator[Write]:
        table, values = series.cells[0].table, None
        if series.a.kind == "distinct":
            rows, at, values = work.seen[distinct_name(table, series.a)]
            group = Grouped.of(rows, np.arange(len(rows)), at)
        else:
            values, known = work.values.of(series.a)
            group = group if known is None else group.only(known[group.event])
        if len(group):
            values = None if values is None else values[group.event]
            yield from Series(self._tables.shared(table), series.cells).prepare(group, values)

    def _column(self, table: str, column: str, change: Change) -> Prepared:
        prepared, name = Prepared(), column_name(self._schema[table], column)
        sheet, held = self._tables.shared(name), self._tables.column(self._schema[table], column)
        prepared.fitting([name], change.rows, sheet.rows)
        prepared.writes += held.prepare(sheet, change.rows, change.known_at, change.values)
        return prepared

    def _lookup(self, columns: Columns, changes: Changes) -> Any:
        """Table columns as they stood at each event's place in the log: what is held, and this batch's changes."""
        known_at, seq = columns["known_at"], columns["seq"]

        def lookup(table: Table, name: str, rows: Ints) -> NDArray[Any]:
            held = self._tables.column(table, name)
            values, since = held.read(rows), held.known_at(rows)
            values[since > known_at] = missing(columns_of(table)[name])
            change = changes.get((table.name, name))
            return values if change is None else stood(change, values, since, rows=rows, known_at=known_at, seq=seq)

        return lookup


class _Series:
    """A series to be fed: one of its aggregates, and where all of them lie."""

    def __init__(self, a: Aggregate):
        self.a, self.cells = a, list[Cells]()


class _Kept:
    """What is kept about the events of one type under one subject."""

    def __init__(self, by: tuple[Path, ...], subject: str):
        self.by, self.subject = by, subject
        self._found: dict[tuple[str, int], _Series] = {}
        self.lists: list[Aggregate] = []
        self.tests: list[_Tests] = []

    def add(self, a: Aggregate, cells: Cells | None) -> None:
        """Takes one more aggregate on."""
        self.tests = list(dict.fromkeys([*self.tests, a.conditions]))
        if cells is None:
            self.lists.append(a)
        else:
            self._found.setdefault((cells.table, cells.total), _Series(a)).cells.append(cells)

    @property
    def series(self) -> Iterable[_Series]:
        return self._found.values()

    @property
    def tables(self) -> list[str]:
        """The tables that they go to."""
        return [*dict.fromkeys(table for table, _ in self._found), *(a.name for a in self.lists)]


class _Work:
    """The events of one type under one subject in one batch.

    Args:
        kept: what is kept about them.
        values: what they carry.
        keys: one or two key columns, int64 [n] or [n, m].
        passed: which events pass the tests, bool [n].
    """

    def __init__(self, kept: _Kept, values: Values, keys: list[Ints], passed: Mapping[_Tests, NDArray[np.bool_]]):
        self.kept, self.values, self.passed = kept, values, passed
        self.event, self.keys = exploded(keys)
        self.rows = self.keys[0]
        self.seen: dict[str, tuple[Ints, Ints, Ints]] = {}
        some = np.logical_or.reduce([passed[t] for t in kept.tests])
        self.only(some[self.event], self.rows)

    def only(self, chosen: NDArray[np.bool_], rows: Ints) -> None:
        """Goes on with some of the keys, which lie in these rows."""
        if chosen.all():
            self.rows = rows
            return
        self.event, self.rows = self.event[chosen], rows[chosen]
        self.keys = tuple(k[chosen] for k in self.keys)


class _Sort:
    """What is kept about the events of one type."""

    def __init__(self, events: Events):
        self.events = events
        self.kept: dict[str, _Kept] = {}
        self.paths: list[Path] = []
        self.tests: list[_Tests] = []
        self.kinds: dict[str, Kind] = dict(_TIMES)

    def add(self, a: Aggregate, cells: Cells | None) -> None:
        """Takes one more aggregate on."""
        self.kept.setdefault(a.subject, _Kept(a.by, a.subject)).add(a, cells)
        self.paths = list(dict.fromkeys([*self.paths, *a.by]))
        self.tests = list(dict.fromkeys([*self.tests, a.conditions]))
        used = {self.events.role(p.table) for p in a.by} | {c.field for c in a.conditions}
        used |= {a.value} if a.value and a.value != OWN_TIME else set()
        self.kinds |= {name: self.events.columns[name] for name in used}
