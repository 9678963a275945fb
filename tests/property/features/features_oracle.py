"""The oracle: what features mean, written for clarity only. One Python loop per question, no sharing, no cleverness."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from winnow.data.chunk import Chunk
from winnow.data.schema import Events, Table
from winnow.data.text import text_hashes
from winnow.features.aggregate import Aggregate
from winnow.features.state import KNOWN_AT, NEVER, SET_WIDTH


@dataclass(frozen=True, repr=False)
class Happened:
    """One row of the log: an event (roles and fields) or a change of a table row (the columns that it sets)."""

    seq: int
    known_at: int
    at: int
    of: Events | Table
    values: dict[str, Any] = field(default_factory=dict)
    row: int = -1
    deleted: bool = False

    @property
    def place(self) -> tuple[int, int]:
        return self.known_at, self.seq

    def __repr__(self) -> str:
        row = f" row {self.row}{' deleted' * self.deleted}" if self.row >= 0 else ""
        return f"{self.seq}: {self.of.name}{row} at {self.at} known {self.known_at} {self.values}"


class OracleState:
    """`State` by going through the whole log for every question."""

    def __init__(self, log: list[Happened]):
        self.log = log

    def column(self, table: Table, column: str, rows: Any, at: Any) -> Any:
        rows, at = np.broadcast_arrays(rows, at)
        if column == KNOWN_AT:
            return ints(self.changed(table, r, t) for r, t in zip(rows, at, strict=True))
        if table.columns[column].storage == "text":
            return text_hashes([self.value(table, column, r, (t, -1)) for r, t in zip(rows, at, strict=True)])
        kind = table.columns[column]
        dtype = np.float64 if kind.storage == "number" else np.int64
        return np.array([self.value(table, column, r, (t, -1)) for r, t in zip(rows, at, strict=True)], dtype).reshape(
            (-1, SET_WIDTH) if kind.storage == "categories" else -1
        )

    def value(self, table: Table, column: str, row: int, before: tuple[int, int]) -> Any:
        """A column of a row as it stood before a place in the log."""
        missing = {"number": math.nan, "time": NEVER, "categories": [-1] * SET_WIDTH, "text": None}
        empty = missing.get(table.columns[column].storage, -1)
        value = empty
        for change in sorted(self._of(table, row), key=lambda h: h.place):
            if change.place < before:
                value = empty if change.deleted else change.values.get(column, value)
        return value

    def _of(self, table: Table, row: int) -> list[Happened]:
        """The changes of a row, whatever role its table plays."""
        return [h for h in self.log if h.of.name == table.name and h.row == row]

    def changed(self, table: Table, row: int, at: int) -> int:
        """When a row last changed, as of a moment."""
        changes = sorted((h for h in self._of(table, row) if h.known_at < at), key=place_of)
        return changes[-1].known_at if changes and not changes[-1].deleted else NEVER

    def keys(self, aggregate: Aggregate, event: Happened) -> list[tuple[int, ...]]:
        """The keys that an event counts under."""
        columns = []
        for path in aggregate.by:
            value: Any = event.values[event.of.role(path.table)]
            table = path.table
            for column in path.columns:
                kind = table.columns[column]
                value = self.value(table, column, value, event.place)
                table = kind.table or table
            columns.append(value)
        width = max((len(c) for c in columns if isinstance(c, list)), default=1)
        spread = [c if isinstance(c, list) else [c] * width for c in columns]
        return [key for key in zip(*spread, strict=True) if min(key) >= 0]

    def known(self, aggregate: Aggregate, key: tuple[int, ...], at: int) -> list[Happened]:
        """The events that count under a key (once per matching value) among those known before a moment."""
        found = []
        for event in self.log:
            if (
                event.of is aggregate.events
                and event.known_at < at
                and all(map(self.passes(event), aggregate.conditions))
            ):
                found += [event] * self.keys(aggregate, event).count(key)
        return found

    def passes(self, event: Happened) -> Any:
        def test(condition: Any) -> bool:
            value = event.values[condition.field]
            number = event.of.columns[condition.field].storage == "number"
            missing = math.isnan(value) if number else value == -1
            return not missing and eval(f"value {condition.op} {condition.value!r}")

        return test

    def windows(self, aggregates: Any, keys: Any, at: Any) -> Any:
        *keys, at = np.broadcast_arrays(*keys, at)
        asked = [(tuple(map(int, k)), int(t)) for *k, t in zip(*keys, at, strict=True)]
        return [ints(self.window(a, key, t) for key, t in asked) for a in aggregates]

    def window(self, aggregate: Aggregate, key: tuple[int, ...], at: int) -> int:
        hop = aggregate.hop
        inside = [
            event
            for event in self.known(aggregate, key, at)
            if not hop or event.at // hop > at // hop - aggregate.buckets
        ]
        if aggregate.half_life is not None:
            return sum(round(2**20 * 2 ** (e.at % hop / (hop / 16))) for e in inside)
        if aggregate.kind == "sum" and aggregate.value is None:
            return len(inside)
        values = [self.worth(aggregate, e) for e in inside]
        there = [v for v in values if v is not None]
        if aggregate.kind == "distinct":
            return len(set(there))
        if aggregate.kind == "max":
            return max((-v if aggregate.negated else v for v in there), default=NEVER)
        return sum(there)

    def worth(self, aggregate: Aggregate, event: Happened) -> int | None:
        """An event's value as a whole number; None when it is missing."""
        if aggregate.value == "at":
            return event.at
        value, kind = event.values[aggregate.value], event.of.columns[aggregate.value]
        if kind.storage == "number":
            return None if math.isnan(value) else round(value * 1e6)
        if value == -1:
            return None
        return value if kind.has_domain else value * 1_000_000

    def recent(self, aggregate: Aggregate, keys: Any, at: Any) -> Any:
        *keys, at = np.broadcast_arrays(*keys, at)
        values, times = [], []
        for *k, t in zip(*keys, at, strict=True):
            events = self.known(aggregate, tuple(map(int, k)), int(t))
            last = sorted(events, key=lambda e: (e.at, e.seq), reverse=True)[: aggregate.k]
            pad = aggregate.k - len(last)
            number = aggregate.value and aggregate.events.columns[aggregate.value].storage == "number"
            empty = NEVER if number else -1
            kept = [self.kept(aggregate, e) for e in last]
            values.append([empty if v is None else v for v in kept] + [empty] * pad)
            times.append([e.at for e in last] + [NEVER] * pad)
        shape = (len(at), aggregate.k)
        return np.array(values, np.int64).reshape(shape), np.array(times, np.int64).reshape(shape)

    def kept(self, aggregate: Aggregate, event: Happened) -> int | None:
        """What a list keeps of an event."""
        if aggregate.value is None:
            return None
        number = event.of.columns[aggregate.value].storage == "number"
        return self.worth(aggregate, event) if number else event.values[aggregate.value]


def place_of(h: Happened) -> tuple[int, int]:
    return h.place


class LogSource:
    """A log as the source of a `HistoryState`: columns, and table rows with what they kept filled in."""

    def __init__(self, log: list[Happened], kinds: list[Events | Table]):
        self.log, self.kinds = log, {k.name: k for k in kinds}

    def events(self, name: str) -> dict[str, Any]:
        events = [h for h in self.log if h.of.name == name]
        return arrays(events) | columns_of([h.values for h in events], self.kinds[name].columns)

    def rows(self, table: str) -> dict[str, Any]:
        kept: dict[int, dict[str, Any]] = {}
        full, versions = [], sorted((h for h in self.log if h.of.name == table), key=lambda h: h.place)
        for h in versions:
            full.append(kept.get(h.row, {}) | h.values)  # a deleted version may still show values: only its flag counts
            kept[h.row] = {} if h.deleted else full[-1]
        rows = {"row": ints(h.row for h in versions), "deleted": ints(int(h.deleted) for h in versions)}
        return arrays(versions) | rows | columns_of(full, self.kinds[table].columns)


def ints(values: Any) -> Any:
    return np.array(list(values), np.int64)


def arrays(rows: list[Happened]) -> dict[str, Any]:
    return {name: ints(getattr(h, name) for h in rows) for name in ("seq", "at", "known_at")}


def columns_of(rows: list[dict[str, Any]], kinds: Any) -> dict[str, Any]:
    """Columns by kind; what a row does not carry is missing."""
    made = {}
    for name, kind in kinds.items():
        if kind.storage == "categories":
            made[name] = np.array([r.get(name, [-1] * SET_WIDTH) for r in rows], np.int64).reshape(-1, SET_WIDTH)
        elif kind.storage == "text":
            made[name] = [r.get(name) for r in rows]
        elif kind.storage == "number":
            made[name] = np.array([r.get(name, math.nan) for r in rows], np.float64)
        else:
            made[name] = ints(r.get(name, NEVER if kind.storage == "time" else -1) for r in rows)
    return made


def chunks_of(log: list[Happened]) -> list[Chunk]:
    """The log as the event log gives it: per append (same `known_at`) one chunk per type and set of columns."""
    chunks = []
    for known_at in sorted({h.known_at for h in log}):
        append = [h for h in log if h.known_at == known_at]
        until = append[-1].seq
        kinds: dict[Any, list[Happened]] = {}
        for h in append:
            kinds.setdefault((h.of.name, *(() if isinstance(h.of, Events) else sorted(h.values))), []).append(h)
        for rows in kinds.values():
            of = rows[0].of
            if isinstance(of, Events):
                columns, kind = columns_of([h.values for h in rows], of.columns), "event"
            else:
                set_ = {c: k for c, k in of.columns.items() if c in rows[0].values}
                columns, kind = columns_of([h.values for h in rows], set_), "row"
                columns |= {"row": ints(h.row for h in rows), "deleted": ints(int(h.deleted) for h in rows)}
            chunks.append(Chunk(kind, of.name, arrays(rows) | columns, until))
    return chunks
