"""What was known at any past moment, computed from the history of events and table rows.

An event counts at moment t if and only if it was known (known_at < t) and its hop is in the window. Both times fall
in the same hop for nearly all events, so a window is N(known before t) - N(known before the window's first hop): two
binary searches. Events that became known in a later hop than their own ("straddlers") are put right by a small table.
"""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, Protocol, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from winnow.core.errors import InputError, Problem
from winnow.data.schema import Condition, Events, Path, Table
from winnow.features.aggregate import Aggregate
from winnow.features.batch import Ints
from winnow.features.keys import Columns, added, exploded, field, follow, missing, passing, stored
from winnow.features.state import NEVER, SET_WIDTH
from winnow.features.timeline import Codes, Places, Timeline, by_time, ragged

T = TypeVar("T")


class Source(Protocol):
    """Where history lies. Arrays as in the log: int64 with -1 missing, numbers float64 with NaN missing."""

    def events(self, name: str) -> Columns:
        """All events of a type: `seq`, `at`, `known_at`, roles and fields; any order."""
        ...

    def rows(self, table: str) -> Columns:
        """All versions of a table's rows: `seq`, `at`, `known_at`, `row`, `deleted` (0/1) and every column as it stood
        after the change; any order."""
        ...


class HistoryState:
    """`State` as of any moment. What an aggregate needs is sorted on its first use and kept.

    Args:
        source: the events and table rows.
    """

    def __init__(self, source: Source):
        self._source = source
        self._made: dict[Any, Any] = {}

    def column(self, table: Table, column: str, rows: Ints, at: Ints) -> NDArray[Any]:
        versions = self._versions(table)
        rows, at = np.broadcast_arrays(rows, at)
        return versions.column(column, versions.index(rows, versions.places.at(at)))

    def windows(self, aggregates: Sequence[Aggregate], keys: tuple[Ints, ...], at: Ints) -> list[Ints]:
        return [self._group(a).window(a, keys, at) for a in aggregates]

    def recent(self, aggregate: Aggregate, keys: tuple[Ints, ...], at: Ints) -> tuple[Ints, Ints]:
        return self._group(aggregate).recent(aggregate, keys, at)

    def _once(self, name: Any, make: Callable[[], T]) -> T:
        if name not in self._made:
            self._made[name] = make()
        return cast(T, self._made[name])

    def _versions(self, table: Table) -> "Versions":
        return self._once(("rows", table.name), lambda: Versions(table, self._source.rows(table.name)))

    def _log(self, events: Events) -> "Log":
        return self._once(("events", events.name), lambda: Log(events, self._source.events(events.name)))

    def _group(self, aggregate: Aggregate) -> "Group":
        events, by, tests = aggregate.events, aggregate.by, aggregate.conditions
        name = (events.name, tuple(map(str, by)), tuple(t.to_data() for t in tests))
        return self._once(name, lambda: Group(self._log(events), [self._keys(events, p) for p in by], tests))

    def _keys(self, events: Events, path: Path) -> Ints:
        """The key of every event along a path, as table rows stood at the event's place in the log."""
        log = self._log(events)

        def lookup(table: Table, column: str, rows: Ints) -> NDArray[Any]:
            versions = self._versions(table)
            return versions.column(column, versions.index(rows, versions.places.of(log.known_at, log.seq)))

        return self._once((events.name, str(path)), lambda: follow(events, path, log.columns, lookup))


class Log:
    """The events of one type in the order in which they became known."""

    def __init__(self, events: Events, columns: Columns):
        order = by_time(columns["known_at"], columns["seq"])
        used = ("seq", "at", "known_at", *events.columns)
        self.columns = {c: np.asarray(columns[c])[order] for c in used if c in columns and not _is_text(events, c)}
        self.events = events
        self.seq, self.at, self.known_at = (self.columns[c] for c in ("seq", "at", "known_at"))

    @cached_property
    def places(self) -> Places:
        return Places(self.known_at, self.seq)

    @cached_property
    def own_order(self) -> Ints:
        """The place of each event in the order of own time, ties by log order: int64 [n]."""
        place = np.empty(len(self.seq), np.int64)
        place[by_time(self.at, self.seq)] = np.arange(len(self.seq))
        return place


def _is_text(events: Events, column: str) -> bool:
    return column in events.columns and events.columns[column].storage == "text"


class Versions:
    """All versions of a table's rows in the order in which they became known."""

    def __init__(self, table: Table, columns: Columns):
        order = by_time(columns["known_at"], columns["seq"])
        self._table = table
        self._columns = {c: np.asarray(v)[order] for c, v in columns.items() if c in table.columns}
        self._deleted = np.asarray(columns["deleted"])[order] == 1
        self.places = Places(columns["known_at"][order], columns["seq"][order])
        rows = columns["row"][order]
        self._n_rows = int(rows.max(initial=-1)) + 1
        self._lines = Timeline(rows, np.arange(len(rows)), n_codes=self._n_rows, size=len(rows))
        self._made: dict[str, NDArray[Any]] = {}

    def index(self, rows: Ints, places: Ints) -> Ints:
        """The version of each row that stands before a place, int64 [n]; -1 when there is none or it is deleted."""
        index = np.full(len(rows), -1)
        inside = np.flatnonzero((rows >= 0) & (rows < self._n_rows))
        line, place = rows[inside], places[inside]
        first, many = self._lines.starts[line], np.diff(self._lines.starts)[line]
        last = first.copy()  # most rows have one version, found without a search
        again = many > 1
        last[again] = self._lines.before(line[again], place[again]) - 1
        fits = (many > 0) & (last >= first)
        version = self._lines.order[last[fits]]
        seen = (version < place[fits]) & ~self._deleted[version]
        index[inside[fits]] = np.where(seen, version, -1)
        return index

    def column(self, name: str, index: Ints) -> NDArray[Any]:
        """A column's values for versions; missing for -1."""
        return self._values(name)[index]  # the extra last value stands for -1

    def _values(self, name: str) -> NDArray[Any]:
        if name not in self._made:
            kind = self._table.columns[name]
            if kind.storage == "text":
                raise InputError(Problem("not-a-number", f"`{self._table.name}.{name}` is text", self._table.where))
            values = stored(self._columns, name, kind, self.places.size)
            last = np.full((1, SET_WIDTH) if values.ndim == 2 else 1, missing(kind), values.dtype)
            self._made[name] = np.concatenate([values, last])
        return self._made[name]


class Group:
    """The events that share type, keys and conditions, sorted by (key, known).

    Args:
        log: the events.
        keys: one or two key columns, int64 [n] or [n, m].
        conditions: tests that events must pass.
    """

    def __init__(self, log: Log, keys: list[Ints], conditions: tuple[Condition, ...]):
        self._log = log
        event, flat = exploded(keys)
        passed = passing(log.events, log.columns, conditions)[event]
        event, flat = event[passed], tuple(k[passed] for k in flat)
        self._keys = Codes(flat)
        self._lines = Timeline(self._keys.codes, event, n_codes=self._keys.size, size=len(log.seq))
        self._event = event[self._lines.order]
        self._made: dict[Any, Any] = {}

    def window(self, aggregate: Aggregate, keys: tuple[Ints, ...], at: Ints) -> Ints:
        """See `State.windows`."""
        codes, at = np.broadcast_arrays(self._keys.encode(keys), at)
        known = codes >= 0
        result = np.zeros(len(codes), np.int64)
        result[known] = self._window(aggregate, codes[known], at[known])
        return result

    def _window(self, aggregate: Aggregate, codes: Ints, at: Ints) -> Ints:
        totals = self._totals(aggregate.value)
        now = self._lines.before(codes, self._log.places.at(at))
        if not aggregate.hop:
            return totals[now] - totals[self._lines.starts[codes]]
        first = at // aggregate.hop - aggregate.buckets + 1
        then = self._lines.before(codes, self._log.places.at(first * aggregate.hop))
        return totals[now] - totals[then] - self._straddlers(aggregate).before(codes, first, at)

    def _totals(self, value: str | None) -> Ints:
        """What the first i events of the sorted order add up to, int64 [e + 1]."""
        if value not in self._made:
            adds = self._adds(value)[self._event]
            self._made[value] = np.concatenate([[0], np.cumsum(adds)])
        return self._made[value]  # type: ignore[no-any-return]

    def _adds(self, value: str | None) -> Ints:
        adds = added(self._log.events, self._log.columns, value)
        return np.ones(len(self._log.seq), np.int64) if adds is None else adds

    def _straddlers(self, aggregate: Aggregate) -> "Straddlers":
        name = (aggregate.hop, aggregate.buckets, aggregate.value)
        if name not in self._made:
            codes = self._keys.codes[self._lines.order]
            at, known_at = self._log.at[self._event], self._log.known_at[self._event]
            late = np.flatnonzero(at < known_at)
            late = late[at[late] // aggregate.hop < known_at[late] // aggregate.hop]
            adds = self._adds(aggregate.value)[self._event[late]]
            self._made[name] = Straddlers(aggregate, codes[late], adds, at=at[late], known_at=known_at[late])
        return self._made[name]  # type: ignore[no-any-return]

    def recent(self, aggregate: Aggregate, keys: tuple[Ints, ...], at: Ints) -> tuple[Ints, Ints]:
        """See `State.recent`."""
        codes, at = np.broadcast_arrays(self._keys.encode(keys), at)
        known = codes >= 0
        events = np.full((len(codes), aggregate.k), -1)
        if known.any():
            events[known] = self._recents.latest(codes[known], at[known], aggregate.k)
        times = np.append(self._log.at, NEVER)[events]
        if aggregate.value is None:
            return np.full_like(events, -1), times
        return np.append(field(self._log.events, self._log.columns, aggregate.value), -1)[events], times

    @cached_property
    def _recents(self) -> "Recents":
        return Recents(self._log, self._lines, self._keys.codes[self._lines.order], self._event)


class Straddlers:
    """Events that became known after the first hop boundary that follows their own time.

    At boundary b (the first hop of a window) such an event was counted as known since b although it is older than b.
    It is entered at each boundary between its two times, as far back as a window still starts there once it is known.
    """

    def __init__(self, aggregate: Aggregate, codes: Ints, adds: Ints, *, at: Ints, known_at: Ints):
        hop = aggregate.hop
        first = np.maximum(at // hop, known_at // hop - aggregate.buckets) + 1
        event, step = ragged(known_at // hop - first + 1)
        order = np.lexsort((known_at[event], first[event] + step, codes[event]))
        event, boundary = event[order], (first[event] + step)[order]
        self._edges = Codes((codes[event], boundary - boundary.min(initial=0)))
        self._shift = int(boundary.min(initial=0))
        self._known_at = np.sort(known_at)
        places = np.searchsorted(self._known_at, known_at[event])
        self._lines = Timeline(self._edges.codes, places, n_codes=self._edges.size, size=len(known_at))
        self._totals = np.concatenate([[0], np.cumsum(adds[event][self._lines.order])])

    def before(self, codes: Ints, boundary: Ints, at: Ints) -> Ints:
        """What they add up to for each key at a boundary, of those known before each moment; int64 [n]."""
        result = np.zeros(len(codes), np.int64)
        if not len(self._known_at):
            return result
        edge = self._edges.encode((codes, boundary - self._shift))
        hit = np.flatnonzero(edge >= 0)
        now = self._lines.before(edge[hit], np.searchsorted(self._known_at, at[hit]))
        result[hit] = self._totals[now] - self._totals[self._lines.starts[edge[hit]]]
        return result


class Recents:
    """The events of each key in the order of own time, for looking up the last k that are known.

    Args:
        log: all events.
        known: the group's events by (key, known).
        codes: key of each event in that order, int64 [e].
        event: place of each event in the log, int64 [e].
    """

    def __init__(self, log: Log, known: Timeline, codes: Ints, event: Ints):
        self._log, self._known = log, known
        self._lines = Timeline(codes, log.own_order[event], n_codes=len(known.starts) - 1, size=len(log.seq))
        self._event = event[self._lines.order]
        backwards = (np.diff(self._event) < 0) & (np.diff(codes) == 0)
        self._late = np.zeros(len(known.starts) - 1, bool)  # keys of which an event became known after a newer one
        self._late[codes[1:][backwards]] = True

    @cached_property
    def _own_at(self) -> Ints:
        return np.sort(self._log.at)

    def latest(self, codes: Ints, at: Ints, k: int) -> Ints:
        """The last k events known at each moment, newest first: int64 [n, k], -1 padding."""
        stop = self._known.before(codes, self._log.places.at(at))
        found = self._back(stop, self._lines.starts[codes], k)
        late = np.flatnonzero(self._late[codes])
        if len(late):
            found[late] = self._skipping(codes[late], at[late], k)
        return found

    def _back(self, stop: Ints, start: Ints, k: int) -> Ints:
        index = stop[:, None] - 1 - np.arange(k)
        return np.where(index >= start[:, None], self._event[np.maximum(index, 0)], -1)

    def _skipping(self, codes: Ints, at: Ints, k: int) -> Ints:
        """As `latest` for keys with late events: walks back over more and more events until k are known."""
        found, width = np.full((len(codes), k), -1), 2 * k
        open_, start = np.arange(len(codes)), self._lines.starts[codes]
        stop = self._lines.before(codes, np.searchsorted(self._own_at, at))
        while len(open_):
            events = self._back(stop[open_], start[open_], width)
            seen = (events >= 0) & (self._log.known_at[events] < at[open_, None])
            row, column = np.nonzero(seen & (np.cumsum(seen, axis=1) <= k))
            first = np.searchsorted(row, np.arange(len(open_)))
            found[open_[row], np.arange(len(row)) - first[row]] = events[row, column]
            open_ = open_[(seen.sum(axis=1) < k) & (stop[open_] - width > start[open_])]
            width *= 2
        return found
