"""Reading live tables: what is known as of now, without locks, and never half an update."""

import time
from collections.abc import Callable, Iterable, Sequence
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
from winnow.features.live.home import pointed
from winnow.features.live.tables import Tables

T = TypeVar("T")


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
        return np.broadcast_to(values, (len(at), *values.shape[1:])) if len(rows) == 1 < len(at) else values

    def windows(self, aggregates: Sequence[Aggregate], keys: tuple[Ints, ...], at: Ints) -> list[Ints]:
        if not aggregates:
            return []
        rows, moments = self._rows(aggregates[0], keys), np.maximum(at, self.as_of)
        if len(rows) < len(at):
            rows = np.broadcast_to(rows, at.shape)
        found: list[Any] = [None] * len(aggregates)
        for table, places, reading in self._tables.readings(aggregates):
            for place, values in zip(places, reading.read(self._tables.sheet(table), rows, moments), strict=True):
                found[place] = values
        return found

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
            self._slots[name] = (keys, self._tables.pairs(aggregate.subject).find(*np.broadcast_arrays(*keys)))
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
    def encodings(self) -> Encodings | None:
        """Where the vectors of texts and images are."""
        return self._encodings

    @property
    def watermark(self) -> int:
        """The moment as of which everything has been applied."""
        return self._current().header.watermark

    @property
    def applied_seq(self) -> int:
        """The last row of the log that has been applied."""
        return self._current().header.applied

    def stats(self) -> dict[str, Any]:
        """Position, memory (bytes really used), and per table `cap`, `used`, `refused`, `evicted` and `bytes`."""
        return stats(self._current())

    def missing(self, aggregates: Iterable[Aggregate]) -> list[str]:
        """The names of those aggregates that are not kept yet."""
        kept = self._current().aggregates
        return [a.name for a in aggregates if a.name not in kept]

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
        return self._tables.follow()


def opened(folder: Path) -> Tables:
    """The tables of the current generation.

    Raises:
        Unavailable: `live-missing`.
    """
    try:
        return Tables(pointed(folder))
    except FileNotFoundError as error:
        what = "there are no live tables"
        raise Unavailable(Problem("live-missing", what, str(folder.name), fix="start the ingester")) from error


def stats(tables: Tables) -> dict[str, Any]:
    """See `LiveReader.stats`."""
    return {
        "applied_seq": tables.header.applied,
        "watermark": tables.header.watermark,
        "bytes": blocks(tables.folder),
        "aggregates": list(tables.aggregates),
        "tables": {name: _stats(tables, name) for name in tables.entries},
    }


def _stats(tables: Tables, name: str) -> dict[str, int]:
    refused, evicted, _ = tables.counters(name).tolist()
    cap, used = tables.entries[name]["cap"], tables.used(name)
    return {"cap": cap, "used": used, "refused": refused, "evicted": evicted, "bytes": tables.bytes(name)}
