"""Reading live tables: what is known as of now, without locks, and never half an update."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from winnow.core.errors import Problem, Unavailable
from winnow.data.schema import Table
from winnow.encoders.base import Encoder
from winnow.encoders.encodings import Encodings, vectors_in
from winnow.features.aggregate import Aggregate
from winnow.features.batch import Floats, Ints
from winnow.features.live.files import blocks, fence
from winnow.features.live.layout import Tables

T = TypeVar("T")
POINTER = "current"


class LiveState:
    """`State` as of now. Ask for moments from `as_of` on; an earlier one is taken as `as_of`.

    Exact at `as_of`: every event known before it has been applied, and none known later. At a later moment windows
    age, and events that are still on their way are missing.

    Args:
        tables: the open tables.
        encodings: the vectors of texts and images, if a feature needs any.
    """

    def __init__(self, tables: Tables, encodings: Encodings | None = None):
        self._tables, self._encodings = tables, encodings
        self.as_of = tables.header.watermark
        self._slots: dict[Any, tuple[tuple[Ints, ...], Ints]] = {}

    def column(self, table: Table, column: str, rows: Ints, at: Ints) -> NDArray[Any]:
        values = self._tables.column(table, column).read(rows)
        return values if len(at) <= len(rows) else np.broadcast_to(values, (len(at), *values.shape[1:]))

    def windows(self, aggregates: Sequence[Aggregate], keys: tuple[Ints, ...], at: Ints) -> list[Ints]:
        return [self._window(a, keys, at) for a in aggregates]

    def _window(self, aggregate: Aggregate, keys: tuple[Ints, ...], at: Ints) -> Ints:
        rows = self._rows(aggregate, keys)
        moment = max(int(at[0]), self.as_of) if len(at) == 1 else np.maximum(at, self.as_of)
        values = self._tables.window(aggregate).read(rows, moment)
        return values if len(at) <= len(values) else np.broadcast_to(values, at.shape)

    def recent(self, aggregate: Aggregate, keys: tuple[Ints, ...], at: Ints) -> tuple[Ints, Ints]:
        values, times = self._tables.lists(aggregate).read(self._rows(aggregate, keys))
        if len(at) <= len(times):
            return values, times
        shape = (len(at), times.shape[1])
        return np.broadcast_to(values, shape), np.broadcast_to(times, shape)

    def vectors(self, encoder: Encoder, hashes: Ints) -> Floats:
        return vectors_in(self._encodings, encoder, hashes)

    def _rows(self, aggregate: Aggregate, keys: tuple[Ints, ...]) -> Ints:
        """Row numbers of single keys, slots of pairs; the slots of the same arrays are looked up once."""
        if len(keys) == 1:
            return keys[0]
        name = (aggregate.subject, *map(id, keys))
        if name not in self._slots:
            self._slots[name] = (keys, self._tables.pairs(aggregate.by).find(*keys))
        return self._slots[name][1]


class LiveReader:
    """Live tables as one process reads them.

    Args:
        folder: where the writer keeps them.
        wait_s: how long to wait for a change that is being published.
        encodings: the vectors of texts and images, if a feature needs any.
    """

    def __init__(self, folder: Path | str, *, wait_s: float = 1.0, encodings: Encodings | None = None):
        self._folder, self._wait_s, self._encodings = Path(folder), wait_s, encodings
        self._tables: Tables | None = None

    @property
    def watermark(self) -> int:
        """The moment as of which everything has been applied."""
        return self._current().header.watermark

    @property
    def applied_seq(self) -> int:
        """The last row of the log that has been applied."""
        return self._current().header.applied

    def stats(self) -> dict[str, Any]:
        """Position, memory (bytes really used), and per table its cap and how many keys it has refused."""
        tables = self._current()
        tables.reload()
        return stats(tables)

    def consistently(self, compute: Callable[[LiveState], T]) -> T:
        """What `compute` makes of one state: it is called again when a change was published meanwhile.

        Args:
            compute: reads the state; it may be called several times and must not keep the state.

        Raises:
            Unavailable: `live-missing` before a writer has made the tables; `live-torn` when a change stays unfinished.
        """
        deadline = time.monotonic() + self._wait_s
        while True:
            tables = self._current()
            before = tables.header.version
            fence()
            if before % 2 == 0:
                result, whole = self._attempt(compute, tables, before)
                if whole:
                    return cast(T, result)
            if time.monotonic() > deadline:
                what, why = "no unchanging state of the live tables was seen", "a change stays unfinished"
                raise Unavailable(Problem("live-torn", what, why=why, fix="restart the ingester, which mends it"))
            time.sleep(0.0001)

    def _attempt(self, compute: Callable[[LiveState], T], tables: Tables, before: int) -> tuple[T | None, bool]:
        try:
            result = compute(LiveState(tables, self._encodings))
        except Exception:
            fence()
            if tables.header.version == before and not tables.header.retired:
                raise
            return None, False  # half an update may look like anything
        fence()
        return result, tables.header.version == before

    def _current(self) -> Tables:
        if self._tables is None or self._tables.header.retired:
            self._tables = opened(self._folder)
        return self._tables


def opened(folder: Path) -> Tables:
    """The tables of the current generation.

    Raises:
        Unavailable: `live-missing`.
    """
    try:
        return Tables(folder / (folder / POINTER).read_text())
    except FileNotFoundError as error:
        what = "there are no live tables"
        raise Unavailable(Problem("live-missing", what, str(folder.name), fix="start the ingester")) from error


def stats(tables: Tables) -> dict[str, Any]:
    """See `LiveReader.stats`."""
    header = tables.header
    refused = {n: int(header.counters[tables.number(n)]) for n in tables.entries}
    return {
        "applied_seq": header.applied,
        "watermark": header.watermark,
        "bytes": blocks(tables.folder),
        "tables": {n: {"cap": e["cap"], "refused": refused[n]} for n, e in tables.entries.items()},
    }
