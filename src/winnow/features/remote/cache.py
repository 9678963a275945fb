"""Lines that a process has fetched before, as long as they are what Redis holds.

With every change the mirror leaves a note of the rows that it changed. A look-up reads the notes since the version that
the cache is of, with its first round trip, and forgets those rows; a gap in the notes empties the cache.
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from winnow.features.batch import Ints
from winnow.features.remote.racks import Rack

LOG_ENTRIES = 500  # notes that are kept
_NOTED = 20_000  # rows in one note; when more change, the note says: everything
_NOWHERE = np.iinfo(np.int32).min
_SHARE = 4  # a look-up of more than this part of what fits is not worth keeping


def note(rows: dict[int, Ints]) -> bytes:
    """Rows that changed, by code of their rack; empty for too many."""
    if sum(map(len, rows.values())) > _NOTED:
        return b""
    parts = [np.concatenate([[code, len(some)], some]) for code, some in rows.items()]
    return np.concatenate([[0, 0], *parts]).astype("<i4").tobytes()


def noted(data: bytes) -> Iterable[tuple[int, Ints]]:
    """What a note says."""
    words, place = np.frombuffer(data, "<i4").astype(np.int64), 0
    while place < len(words):
        code, count = words[place : place + 2].tolist()
        yield code, words[place + 2 : place + 2 + count]
        place += 2 + count


class Cache:
    """What one process remembers of one generation. Threads share it.

    Args:
        megabytes: memory for lines; when it is full, it starts anew.
    """

    def __init__(self, megabytes: int):
        self.version = -1
        self._bytes, self._used = megabytes << 20, 0
        self._shelves: dict[int, _Shelf] = {}
        self.lock = threading.Lock()

    def takes(self, rack: Rack, rows: Ints) -> bool:
        """Whether lines of so many rows are worth keeping."""
        return not rack.pairs and 8 * rack.width * len(rows) * _SHARE <= self._bytes

    def follow(self, version: int, notes: Sequence[tuple[int, bytes]]) -> None:
        """Forgets what has changed up to a version.

        Args:
            version: of the copy now.
            notes: those since the version of the cache, with their versions.
        """
        with self.lock:
            if version <= self.version:
                return
            new = {v: data for v, data in notes if v > self.version}  # another thread may have read some of them
            if self.version < 0 or list(new) != [*range(self.version + 1, version + 1)]:
                self._clear()
            for data in new.values():
                self._forget(data)
            self.version = version

    def missing(self, rack: Rack, rows: Ints) -> Ints:
        """The rows whose lines are not here, ascending, each once."""
        with self.lock:
            return self._shelf(rack).missing(rows)

    def put(self, rack: Rack, rows: Ints, cells: Ints, *, version: int) -> None:
        """Keeps lines of a version, unless the cache has moved on.

        Args:
            rack: what they are of.
            rows: int64 [n].
            cells: int64 [n, width], in the order of the sheets.
            version: of the copy that they were read from.
        """
        with self.lock:
            if version != self.version:
                return
            if self._used + cells.nbytes > self._bytes:
                self._clear()
            self._used += self._shelf(rack).put(rows, cells)

    def lines(self, rack: Rack, rows: Ints, *, version: int, moved: Callable[[], None]) -> "Kept | None":
        """The lines of rows, if they are all here and of this version."""
        with self.lock:
            shelf = self._shelf(rack)
            slots = shelf.slots(rows) if version == self.version else None
            return None if slots is None else Kept(self, shelf, slots, version=version, moved=moved)

    def _forget(self, data: bytes) -> None:
        if not data:
            self._clear()
            return
        for code, rows in noted(data):
            if code in self._shelves:
                self._shelves[code].forget(rows)

    def _shelf(self, rack: Rack) -> "_Shelf":
        if rack.code not in self._shelves:
            self._shelves[rack.code] = _Shelf(rack, self._bytes)
        return self._shelves[rack.code]

    def _clear(self) -> None:
        self._shelves, self._used = {}, 0


class Kept:
    """Lines in a cache, read while it stays at one version.

    Args:
        cache: the cache.
        shelf: where they lie.
        slots: of the rows, int64 [n].
        version: that it must have.
        moved: called when it has another; it raises.
    """

    def __init__(self, cache: Cache, shelf: "_Shelf", slots: Ints, *, version: int, moved: Callable[[], None]):
        self._cache, self._shelf, self._slots, self._version, self._moved = cache, shelf, slots, version, moved

    def columns(self, places: Ints) -> Ints:
        """Some cells of each line: as `Sheet.columns`, places in the order of the rack's sheets."""
        return self._take(self._slots * self._shelf.width + places)

    def cells(self, places: Ints) -> Ints:
        """The same cells of each line, int64 [n, p]."""
        return self._take((self._slots * self._shelf.width)[:, None] + places)

    def _take(self, index: Ints) -> Ints:
        with self._cache.lock:
            found: Ints = self._shelf.flat.take(index)
            whole = self._cache.version == self._version
        if not whole:
            self._moved()
        return found


class _Shelf:
    """The lines of one rack. Slot 0 is the empty line, which rows before the first and after the last have."""

    def __init__(self, rack: Rack, most_bytes: int):
        self.width, cap = rack.width, rack.cap
        self.flat: NDArray[Any] = np.empty((min(most_bytes // (8 * rack.width), cap) + 1) * rack.width, np.int64)
        self._lines = self.flat.reshape(-1, rack.width)
        self._lines[0] = 0
        self._slot = np.full(cap + 2, _NOWHERE, np.int32)  # of each row, shifted by one; changed since: ~slot
        self._slot[[0, -1]] = 0
        self._next = 1

    def slots(self, rows: Ints) -> Ints | None:
        """Where the lines of rows lie, int64 [n]; None when one is missing. A row outside has the empty line."""
        slots = self._slot.take(rows + 1, mode="clip")
        return None if (slots < 0).any() else slots.astype(np.int64)

    def missing(self, rows: Ints) -> Ints:
        """See `Cache.missing`."""
        lacking = np.flatnonzero(self._slot.take(rows + 1, mode="clip") < 0)
        return np.unique(rows[lacking]) if len(lacking) else lacking

    def put(self, rows: Ints, cells: Ints) -> int:
        """Keeps lines of rows that are missing; how many bytes more that takes."""
        slots = ~self._slot[rows + 1].astype(np.int64)
        new = np.flatnonzero(slots == ~_NOWHERE)
        slots[new] = self._next + np.arange(len(new))
        self._next += len(new)
        self._lines[slots], self._slot[rows + 1] = cells, slots
        return len(new) * self.width * 8

    def forget(self, rows: Ints) -> None:
        """Lets go of lines, but not of their places."""
        slots = self._slot[rows + 1]
        self._slot[rows + 1] = np.where(slots < 0, slots, ~slots)
