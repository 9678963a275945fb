"""Which tables live state needs, how large they may grow, and how much memory that takes.

Forms of tables: `record` (the windowed aggregates of one subject, see `records`), `lists` (one `recent` aggregate),
`column` (one column of a table), `pairs` (slots for pairs of keys: the rows of the records and lists by that pair),
`distinct` (a `PairIndex` of key and value, whose times tell when a value was last seen; only the writer reads it).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from winnow.data.schema import Kind, Table, time
from winnow.features.aggregate import Aggregate
from winnow.features.live.columns import ColumnTable
from winnow.features.live.lists import Lists
from winnow.features.live.pairs import PairIndex
from winnow.features.live.records import laid_out, series_of
from winnow.features.state import KNOWN_AT

INDEXES = ("pairs", "distinct")
Entry = dict[str, Any]


@dataclass(frozen=True)
class Caps:
    """How large tables may grow. Files are sparse: a cap costs address space, only what is used costs memory.

    Args:
        rows: rows per domain (a table, or a category column) that `domains` does not name.
        pairs: pairs per pair of keys, and values per `distinct`, that `subjects` does not name.
        domains: domain → rows.
        subjects: pair of keys (`user*video.author`) → pairs.
    """

    rows: int = 1 << 20
    pairs: int = 1 << 20
    domains: Mapping[str, int] = field(default_factory=dict)
    subjects: Mapping[str, int] = field(default_factory=dict)

    def entries(self, aggregates: Iterable[Aggregate], tables: Iterable[Table], *, sheet: int = 0) -> dict[str, Entry]:
        """The tables that these aggregates and table columns need, by name.

        Args:
            aggregates: the aggregates.
            tables: the tables whose columns to keep.
            sheet: how many records each subject has already.
        """
        needed, subjects = dict[str, Entry](), dict[str, list[Aggregate]]()
        for a in aggregates:
            if len(a.by) > 1:
                needed[pair_name(a.subject)] = {"form": "pairs", "cap": self.of(a)}
            if a.kind == "recent":
                needed[a.name] = self._lists(a)
            else:
                subjects.setdefault(a.subject, []).append(a)
        for subject, kept in subjects.items():
            name = f"record:{subject}" + f"#{sheet}" * (sheet > 0)
            needed |= self._record(name, kept)
        for table in tables:
            for column, kind in columns_of(table).items():
                entry = {"form": "column", "storage": kind.storage, "width": ColumnTable.width(kind)}
                needed[column_name(table, column)] = entry | {"cap": self._cap(table.name)}
        return needed

    def fit(self, entries: Mapping[str, Entry], aggregates: Iterable[Aggregate], tables: Iterable[Table]) -> bool:
        """Whether existing tables have the shape that they would get now, as far as they are still asked for."""
        wanted = {a.name: a for a in aggregates}
        needed = self.entries(wanted.values(), tables)
        return all(self._same(entry, needed.get(name.partition("#")[0]), wanted) for name, entry in entries.items())

    def _same(self, held: Entry, now: Entry | None, wanted: Mapping[str, Aggregate]) -> bool:
        if held["form"] == "distinct":
            return bool(held["cap"] == self.pairs)
        if held["form"] != "record":
            return now is None or now | {"file": held["file"]} == held
        rings = [(wanted[name], cells[2:4]) for name, cells in held["cells"].items() if name in wanted]
        fits = all((cells or [0, 1]) == [a.hop, a.buckets] for a, cells in rings)
        return fits and (now is None or now["cap"] == held["cap"])

    def of(self, a: Aggregate) -> int:
        """How many keys an aggregate may have."""
        if len(a.by) > 1:
            return self.subjects.get(a.subject, self.pairs)
        return self._cap(a.by[0].domain)

    def _record(self, name: str, kept: list[Aggregate]) -> dict[str, Entry]:
        width, cells = laid_out(name, kept)
        places = {n: c.to_data() for n, c in cells.items()}
        entry = {"form": "record", "subject": kept[0].subject, "width": width, "cells": places}
        values = {distinct_name(name, a): {"form": "distinct", "cap": self.pairs, "subject": a.subject}
                  for a in kept if a.kind == "distinct"}  # fmt: skip
        return {name: entry | {"cap": self.of(kept[0])}} | values

    def _lists(self, a: Aggregate) -> Entry:
        number = a.value is not None and a.events.columns[a.value].storage == "number"
        shape = {"k": a.k, "values": a.value is not None, "number": number}
        width = Lists.width(a.k, values=a.value is not None)
        return {"form": "lists", "subject": a.subject, "width": width, "cap": self.of(a)} | shape

    def _cap(self, domain: str) -> int:
        return self.domains.get(domain, self.rows)


def columns_of(table: Table) -> dict[str, Kind]:
    """What is kept of a table: its columns, and when each row last changed."""
    return dict(table.columns) | {KNOWN_AT: time}


def pair_name(subject: str) -> str:
    """The name of the index of a pair of keys, shared by all aggregates by that pair."""
    return f"pairs:{subject}"


def column_name(table: Table, column: str) -> str:
    """The name of a column's table."""
    return f"column:{table.name}.{column}"


def distinct_name(record: str, a: Aggregate) -> str:
    """The name of the table of the values that a series of a record has seen."""
    return f"{series_of(a)}@{record}"


def size(
    aggregates: Iterable[Aggregate],
    tables: Iterable[Table],
    *,
    rows: Mapping[str, int],
    pairs: Mapping[str, int],
    caps: Caps | None = None,
) -> list[dict[str, Any]]:
    """Predicts the memory of live tables.

    Args:
        aggregates: what is kept.
        tables: the tables whose columns are kept.
        rows: domain → ids (`user`, `video.author`); 0 where missing.
        pairs: pair of keys (`user*video`) → pairs that occur; for the values of a `distinct` the name of its key
            stands for pairs of key and value. 0 where missing.
        caps: the largest sizes; what is beyond them is not kept.

    Returns:
        `{"table", "rows", "bytes"}` per table, largest first.
    """
    kept, caps, found = list(aggregates), caps or Caps(), list[dict[str, Any]]()
    counts = {a.subject: pairs.get(a.subject, 0) if len(a.by) > 1 else rows.get(a.by[0].domain, 0) for a in kept}
    columns = {column_name(t, c): rows.get(t.name, 0) for t in tables for c in columns_of(t)}
    for name, entry in caps.entries(kept, tables).items():
        subject = entry.get("subject", name.removeprefix(pair_name("")))
        count = columns[name] if name in columns else counts[subject]
        if entry["form"] == "distinct":
            count = pairs.get(subject, count)
        count = min(count, entry["cap"])
        taken = PairIndex.bytes(entry["cap"], count) if entry["form"] in INDEXES else 8 * count * entry["width"]
        found.append({"table": name, "rows": count, "bytes": taken})
    return sorted(found, key=lambda line: -int(line["bytes"]))
