"""From log chunks to writes: which cells change, and to what, worked out before anything is visible to readers."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from winnow.data.chunk import Chunk
from winnow.data.schema import Condition, Events, Kind, Path, Table, time
from winnow.features.aggregate import Aggregate
from winnow.features.batch import Ints
from winnow.features.keys import Columns, added, exploded, follow, missing, passing, stored
from winnow.features.keys import field as field_of
from winnow.features.live.files import Write
from winnow.features.live.layout import Tables, column_name, pair_name

_TIMES = {"seq": time, "at": time, "known_at": time}
_ROW = {"row": Kind("ref"), "deleted": Kind("flag")}
_Changes = dict[tuple[str, str], "Change"]


@dataclass
class Prepared:
    """What one batch changes.

    Args:
        writes: the cells.
        refused: table → how many rows or pairs it had no room for.
        watermark: the moment just after the last row became known.
    """

    writes: list[Write] = field(default_factory=list)
    refused: dict[str, int] = field(default_factory=dict)
    watermark: int = 0

    def refuse(self, table: str, count: int) -> None:
        """Counts what a full table turned away."""
        self.refused[table] = self.refused.get(table, 0) + count


@dataclass(frozen=True)
class Change:
    """New values of one table column in one batch, by (known_at, seq)."""

    rows: Ints
    known_at: Ints
    seq: Ints
    values: NDArray[Any]


class Feed:
    """Works out what chunks change.

    Args:
        tables: the live tables as they stand.
        aggregates: those to keep.
        schema: the tables whose columns to keep.
    """

    def __init__(self, tables: Tables, aggregates: Iterable[Aggregate], schema: Iterable[Table]):
        self._tables = tables
        self._schema = {t.name: t for t in schema}
        self._sorts: dict[str, _Sort] = {}
        for a in aggregates:
            self._sorts.setdefault(a.events.name, _Sort(a.events)).add(a)

    def prepare(self, chunks: Sequence[Chunk], *, after: int, until: int) -> Prepared:
        """The writes for the rows with after < seq <= until."""
        prepared, changes = Prepared(), _Changes()
        for name, table in self._schema.items():
            changes |= _changes(table, [c for c in chunks if c.kind == "row" and c.name == name], (after, until))
        for name, sort in self._sorts.items():
            columns = _merged(sort.kinds, [c for c in chunks if c.kind == "event" and c.name == name], (after, until))
            if len(columns["seq"]):
                self._count(sort, columns, changes, prepared)
        for (name, column), change in changes.items():
            table = self._schema[name]
            self._refuse_rows(prepared, column_name(table, column), change.rows)
            prepared.writes += self._tables.column(table, column).prepare(change.rows, change.known_at, change.values)
        prepared.watermark = max((int(c.ints("known_at").max()) + 1 for c in chunks if len(c)), default=0)
        return prepared

    def _count(self, sort: "_Sort", columns: Columns, changes: _Changes, prepared: Prepared) -> None:
        """The writes of the events of one type."""
        keys = {p: follow(sort.events, p, columns, self._lookup(columns, changes)) for p in sort.paths}
        for (by, conditions), aggregates in sort.groups.items():
            event, flat = exploded([keys[p] for p in by])
            passed = passing(sort.events, columns, conditions)[event]
            event, flat = event[passed], tuple(k[passed] for k in flat)
            rows = flat[0] if len(flat) == 1 else self._claim(by, flat, prepared)
            for a in aggregates:
                prepared.writes += self._update(a, columns, event, rows, prepared)

    def _claim(self, by: tuple[Path, ...], keys: tuple[Ints, ...], prepared: Prepared) -> Ints:
        slots = self._tables.pairs(by).claim(*keys)
        prepared.refuse(pair_name(by), int((slots < 0).sum()))
        return slots

    def _update(self, a: Aggregate, columns: Columns, event: Ints, rows: Ints, prepared: Prepared) -> list[Write]:
        """The writes of one aggregate: `event` says which event counts under each of `rows`."""
        if len(a.by) == 1:
            self._refuse_rows(prepared, a.name, rows)
        fits = (rows >= 0) & (rows < self._tables.entries[a.name]["cap"])
        if not fits.all():
            event, rows = event[fits], rows[fits]
        if not len(rows):
            return []
        at = columns["at"][event]
        if a.kind == "recent":
            values = None if a.value is None else field_of(a.events, columns, a.value)[event]
            return self._tables.lists(a).prepare(rows, at, values)
        adds = added(a.events, columns, a.value)
        return self._tables.window(a).prepare(rows, at, np.ones(len(rows), np.int64) if adds is None else adds[event])

    def _refuse_rows(self, prepared: Prepared, name: str, rows: Ints) -> None:
        prepared.refuse(name, int((rows >= self._tables.entries[name]["cap"]).sum()))

    def _lookup(self, columns: Columns, changes: _Changes) -> Any:
        """Table columns as they stood at each event's place in the log: what is held, and this batch's changes."""
        known_at, seq = columns["known_at"], columns["seq"]

        def lookup(table: Table, name: str, rows: Ints) -> NDArray[Any]:
            held = self._tables.column(table, name)
            values, since = held.read(rows).copy(), held.known_at(rows)
            values[since > known_at] = missing(table.columns[name])
            change = changes.get((table.name, name))
            if change is not None:
                last = _last_before(change, rows, known_at, seq)
                use = (last >= 0) & (change.known_at[last] >= since)
                values[use] = change.values[last[use]]
            return values

        return lookup


class _Sort:
    """What is kept about the events of one type."""

    def __init__(self, events: Events):
        self.events = events
        self.groups: dict[tuple[tuple[Path, ...], tuple[Condition, ...]], list[Aggregate]] = {}
        self.paths: list[Path] = []
        self.kinds: dict[str, Kind] = dict(_TIMES)

    def add(self, a: Aggregate) -> None:
        """Takes one more aggregate on."""
        self.groups.setdefault((a.by, a.conditions), []).append(a)
        self.paths = list(dict.fromkeys([*self.paths, *a.by]))
        used = [self.events.role(p.table) for p in a.by] + [c.field for c in a.conditions] + [a.value or ""]
        self.kinds |= {name: self.events.columns[name] for name in used if name}


def _merged(kinds: Mapping[str, Kind], chunks: Sequence[Chunk], span: tuple[int, int]) -> dict[str, NDArray[Any]]:
    """Some columns of the chunks' rows inside a span of the log, one after the other."""
    inside = [(c.ints("seq") > span[0]) & (c.ints("seq") <= span[1]) for c in chunks]
    none: list[NDArray[Any]] = [np.empty(0, np.int64)] * (not chunks)
    return {
        name: np.concatenate([_stored(c, name, kind)[i] for c, i in zip(chunks, inside, strict=True)] + none)
        for name, kind in kinds.items()
    }


def _stored(chunk: Chunk, name: str, kind: Kind) -> NDArray[Any]:
    return stored(cast(Columns, chunk.columns), name, kind, len(chunk))


def _changes(table: Table, chunks: Sequence[Chunk], span: tuple[int, int]) -> _Changes:
    """The new values of each column: those that a row sets; a deletion sets all to missing."""
    found = _Changes()
    for column, kind in table.columns.items() if chunks else ():
        if kind.storage == "text":
            continue
        parts = [_setting(c, column, kind, span) for c in chunks]
        rows, known_at, seq, values = (np.concatenate([p[i] for p in parts]) for i in range(4))
        order = np.lexsort((seq, known_at))
        if len(order):
            found[table.name, column] = Change(rows[order], known_at[order], seq[order], values[order])
    return found


def _setting(chunk: Chunk, column: str, kind: Kind, span: tuple[int, int]) -> tuple[NDArray[Any], ...]:
    merged = _merged(_TIMES | _ROW | {column: kind}, [chunk], span)
    deleted = merged["deleted"] == 1
    merged[column][deleted] = missing(kind)
    chosen = deleted | (column in chunk.columns)
    return tuple(merged[name][chosen] for name in ("row", "known_at", "seq", column))


def _last_before(change: Change, rows: Ints, known_at: Ints, seq: Ints) -> Ints:
    """For each event the last change of its row before it in the log, int64 [n]; -1 when there is none."""
    size = len(change.rows)
    both = [np.concatenate(pair) for pair in ((change.seq, seq), (change.known_at, known_at), (change.rows, rows))]
    order = np.lexsort(both)
    last = np.maximum.accumulate(np.where(order < size, np.arange(len(order)), -1))
    place = np.empty(len(order), np.int64)
    place[order] = np.where(last >= 0, order[last], -1)
    found = place[size:]
    return np.where((found >= 0) & (change.rows[found] == rows), found, -1)
