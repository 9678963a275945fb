"""What the page shows of tables and events: read from the log on first use, and followed from then on.

It lives in the memory of one worker: the columns of every table, and who did what in the last two million events of
each type. A project without readers of the page keeps none of it.
"""

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from winnow.core.errors import InputError, Problem, unknown
from winnow.core.time import iso
from winnow.data.chunk import NO_TIME, Chunk
from winnow.data.ids import IdMap
from winnow.data.log import EventLog
from winnow.data.schema import Events, Kind, Table

KEPT_EVENTS = 2_000_000
_AT_ONCE = 200_000


class Mirror:
    """The current rows of tables and the latest events, for people to look at.

    Args:
        log: the event log.
        tables: by name.
        events: by name.
    """

    def __init__(self, log: EventLog, tables: Mapping[str, Table], events: Mapping[str, Events]) -> None:
        self._log, self._ids, self._after = log, log.ids, 0
        self._tables = {name: _Rows(table, log.ids) for name, table in tables.items()}
        self._events = {name: _Latest(event) for name, event in events.items()}
        self._lock = threading.Lock()

    def rows(self, table: str, ids: Sequence[str]) -> list[dict[str, Any]]:
        """The rows with these ids, in this order; unknown and deleted ones are left out.

        Raises:
            NotFound: `unknown-table`.
        """
        with self._lock:
            rows = self._table(table)
            return rows.read([row for row in self._ids.rows(table, ids).tolist() if row >= 0])

    def search(self, table: str, text: str, *, limit: int) -> list[dict[str, Any]]:
        """Rows whose id or text holds these words, ids that begin with them first; all rows for no words.

        Raises:
            NotFound: `unknown-table`.
        """
        with self._lock:
            rows = self._table(table)
            return rows.read(rows.find(text)[: 4 * limit])[:limit]

    def events_of(self, table: str, who: str, kind: str, *, limit: int) -> list[dict[str, Any]]:
        """The latest events of one type by (or about) a row of a table, newest first.

        Raises:
            NotFound: `unknown-table`, `unknown-event`.
            InputError: `unrelated-event`, when such events do not refer to the table.
        """
        with self._lock:
            self._table(table)
            if kind not in self._events:
                raise unknown("event", kind, self._events)
            latest = self._events[kind]
            row = int(self._ids.rows(table, [who])[0])
            found = latest.of(table, row)[:limit]
            named = {
                role: self._ids.ids(played.name, latest.columns[role][found])
                for role, played in latest.event.refs.items()
            }
            moments = latest.columns["at"][found].tolist()
            return [
                {"type": kind, "at": iso(at)} | {role: ids[i] for role, ids in named.items()}
                for i, at in enumerate(moments)
            ]

    def _table(self, name: str) -> "_Rows":
        if name not in self._tables:
            raise unknown("table", name, self._tables)
        self._follow()
        return self._tables[name]

    def _follow(self) -> None:
        while chunks := self._log.read(self._after, _AT_ONCE):
            for chunk in chunks:
                part = self._tables if chunk.kind == "row" else self._events
                if chunk.name in part:
                    part[chunk.name].take(chunk)
            self._after = chunks[-1].until


class _Rows:
    """The columns of one table by row number."""

    def __init__(self, table: Table, ids: IdMap) -> None:
        self._table, self._ids = table, ids
        self._kinds = {name: kind for name, kind in table.columns.items() if kind.privacy == "public"}
        self._columns: dict[str, dict[int, Any]] = {name: {} for name in self._kinds}
        self._gone: set[int] = set()
        self._words: dict[int, tuple[str, str]] = {}

    def take(self, chunk: Chunk) -> None:
        rows = chunk.ints("row").tolist()
        gone = {row for row, deleted in zip(rows, chunk.ints("deleted").tolist(), strict=True) if deleted}
        self._gone = (self._gone - set(rows)) | gone
        for row in gone:
            for column in self._columns.values():
                column.pop(row, None)
        for name in self._kinds:
            if name in chunk.columns:
                values = chunk.columns[name]
                plain = values if isinstance(values, list) else values.tolist()
                self._columns[name].update(zip(rows, plain, strict=True))
        for row in rows:
            self._words.pop(row, None)

    def read(self, rows: Sequence[int]) -> list[dict[str, Any]]:
        rows = [row for row in rows if row not in self._gone]
        found = [{self._table.key: i} for i in self._ids.ids(self._table.name, rows)]
        for name, kind in self._kinds.items():
            raw = [self._columns[name].get(row) for row in rows]
            for out, value in zip(found, self._decoded(name, kind, raw), strict=True):
                out[name] = value
        return found

    def _decoded(self, name: str, kind: Kind, raw: list[Any]) -> list[Any]:
        if not kind.has_domain:
            return [_plain(kind, value) for value in raw]
        domain = self._table.domain(name)
        lists = [value if isinstance(value, list) else [] if value is None else [value] for value in raw]
        codes = [code for codes in lists for code in codes]
        names = dict(zip(codes, self._ids.ids(domain, codes), strict=True))
        decoded = [[names[code] for code in codes if code >= 0] for codes in lists]
        return decoded if kind.storage == "categories" else [ids[0] if ids else None for ids in decoded]

    def find(self, text: str) -> list[int]:
        """Rows that hold the words, those whose id begins with them first."""
        asked = _folded(text)
        self._index()
        if not asked:
            return list(self._words)
        begins = [row for row, (name, _) in self._words.items() if name.startswith(asked)]
        inside = [r for r, (name, more) in self._words.items() if asked in name or asked in more]
        return list(dict.fromkeys(begins + inside))

    def _index(self) -> None:
        # People who only ever acted have an id and no row; they can be found all the same.
        every = range(self._ids.size(self._table.name))
        fresh = [row for row in every if row not in self._words and row not in self._gone]
        texts = [name for name, kind in self._kinds.items() if kind.storage == "text"]
        for row, name in zip(fresh, self._ids.ids(self._table.name, fresh), strict=True):
            more = " ".join(self._columns[t].get(row) or "" for t in texts)
            self._words[row] = (_folded(name), _folded(more))


class _Latest:
    """The latest events of one type: who, what and when."""

    def __init__(self, event: Events) -> None:
        self.event = event
        self.columns: dict[str, NDArray[np.int64]] = {name: np.empty(0, np.int64) for name in (*event.refs, "at")}
        self._fresh: list[Chunk] = []

    def take(self, chunk: Chunk) -> None:
        self._fresh.append(chunk)

    def of(self, table: str, row: int) -> NDArray[np.int64]:
        """Places of the events that refer to a row, newest first."""
        roles = [role for role, played in self.event.refs.items() if played.name == table]
        if not roles:
            what = f"`{self.event.name}` does not refer to `{table}`"
            raise InputError(Problem("unrelated-event", what, "type", fix="ask for another type of event"))
        self._merge()
        places = np.flatnonzero(self.columns[roles[0]] == row) if row >= 0 else np.empty(0, np.int64)
        return places[np.argsort(-self.columns["at"][places], kind="stable")]

    def _merge(self) -> None:
        if self._fresh:
            for name, old in self.columns.items():
                self.columns[name] = np.concatenate([old, *(c.ints(name) for c in self._fresh)])[-KEPT_EVENTS:]
            self._fresh = []


def _plain(kind: Kind, value: Any) -> Any:
    if value is None or value != value or value == NO_TIME:  # noqa: PLR0124 - only NaN differs from itself
        return None
    if kind.storage == "time":
        return iso(value)
    return (None if value < 0 else bool(value)) if kind.storage == "flag" else value


def _folded(text: str) -> str:
    """Words as they are compared: small letters, and the marks that ids put between names as spaces."""
    return text.lower().translate(_MARKS).removeprefix("person ").strip()


_MARKS = str.maketrans("-_.", "   ")
