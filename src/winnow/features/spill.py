"""History that is larger than memory: events are parted by key into files, and questions are answered part by part.

Whatever is asked of history is asked of one key, so each part of the keys, with all their events, answers for itself.
"""

import fcntl
import os
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath
from time import time as seconds_now
from typing import Any

import numpy as np
from numpy.typing import NDArray

from winnow.data.schema import Kind, Path, time
from winnow.features.aggregate import Aggregate
from winnow.features.batch import Ints
from winnow.features.group import Group
from winnow.features.keys import Columns, exploded, stored, used
from winnow.features.sieve import mixed
from winnow.features.source import TIMES, Log, Source, Streamed, count, needed
from winnow.features.timeline import by_time
from winnow.features.versions import Tables

_MOST_PARTS = 4096
_PREFIX, _LOCK = "winnow-history-", "lock"
_BEGINS_S = 60.0  # a folder without a lock may be about to get one
_SETS = 4  # events under a multi-valued key stand under about this many


@dataclass(frozen=True)
class Budget:
    """How much memory history may take.

    Args:
        size: bytes; 0 for no limit. The table rows and the events of any one key must fit in any case.
        scratch: where files are put, in a folder that goes with this process; the system's folder when left out.
    """

    size: int = 0
    scratch: FilePath | None = None

    def fits(self, source: Source, aggregates: Sequence[Aggregate]) -> bool:
        """Whether all that aggregates need can be in memory at once; what is not `Streamed` is there anyway."""
        if not self.size or not isinstance(source, Streamed):
            return True
        held = (self.count(source, name) * _held(some) for name, some in by_events(aggregates).items())
        return 8 * sum(held) <= self.size

    def count(self, source: Streamed, name: str) -> int:
        """How many events of a type there are."""
        return count(source, name, rows=max(self.size // 256, 1000))


def by_events(aggregates: Iterable[Aggregate]) -> dict[str, list[Aggregate]]:
    """Aggregates by event type."""
    found: dict[str, list[Aggregate]] = {}
    for a in aggregates:
        found.setdefault(a.events.name, []).append(a)
    return found


def _held(some: Sequence[Aggregate]) -> int:
    """Numbers per event that aggregates of one type keep: columns and keys, then composites and sums of each group."""
    subjects = {a.subject: _spread(a.by) for a in some}
    return len(needed(some)) + 2 * sum(subjects.values()) + sum(_spread(a.by) for a in some)


def _spread(by: Sequence[Path]) -> int:
    return _SETS if any(p.kind.storage == "categories" for p in by) else 1


def sweep(scratch: FilePath) -> int:
    """Removes what killed processes have left in a folder for spilled events; how many folders that was."""
    found = [folder for folder in scratch.glob(f"{_PREFIX}*") if _left(folder)]
    for folder in found:
        shutil.rmtree(folder, ignore_errors=True)
    return len(found)


def _left(folder: FilePath) -> bool:
    """Whether nobody holds its lock, which the system lets go of when a process ends, however it ends."""
    try:
        if not (folder / _LOCK).exists():
            return seconds_now() - folder.stat().st_mtime > _BEGINS_S
        os.close(_held_lock(folder))
    except OSError:  # held, or gone meanwhile
        return False
    return True


def _held_lock(folder: FilePath) -> int:
    handle = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise
    return handle


def _let_go(folder: FilePath, lock: int) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    os.close(lock)


class Shelves:
    """The groups of events that do not fit in memory.

    Args:
        source: where the events are.
        budget: what may be in memory.
        tables: what keys are followed through.
    """

    def __init__(self, source: Streamed, budget: Budget, tables: Tables):
        self._source, self._budget, self._tables = source, budget, tables
        if budget.scratch is not None:
            FilePath(budget.scratch).mkdir(parents=True, exist_ok=True)
            sweep(FilePath(budget.scratch))
        self._folder = FilePath(tempfile.mkdtemp(prefix=_PREFIX, dir=budget.scratch))
        weakref.finalize(self, _let_go, self._folder, _held_lock(self._folder))
        self._made: list[Shelf] = []

    def of(self, wanted: Sequence[Aggregate], planned: Iterable[Aggregate]) -> "Shelf":
        """The shelf that aggregates of one type and subject are read from.

        Args:
            wanted: the aggregates.
            planned: all that will be asked for, these among them: the events are read once for all of the type.
        """
        for shelf in self._made:
            if shelf.has(wanted):
                return shelf
        self._fill([a for a in planned if a.events.name == wanted[0].events.name])
        return self.of(wanted, planned)

    def _fill(self, some: Sequence[Aggregate]) -> None:
        """Writes the events of one type, once for each subject."""
        events, columns = some[0].events, needed(some)
        size = self._budget.size // 8 // 8
        many = self._budget.count(self._source, events.name)
        new = [self._shelf([a for a in some if a.subject == s], many) for s in dict.fromkeys(a.subject for a in some)]
        for batch in self._source.batches(events.name, columns, rows=max(size // (4 * len(columns) + 24), 1000)):
            for shelf in new:
                shelf.add(batch, [self._tables.keys(events, path, batch) for path in shelf.by])
        self._made += new

    def _shelf(self, some: Sequence[Aggregate], many: int) -> "Shelf":
        width, events = len(TIMES) + len(set().union(*map(used, some))) + 2, many * _spread(some[0].by)
        parts = 1 << (4 * events * 8 * (2 * width + 6 + len(some)) // self._budget.size).bit_length()
        return Shelf(some, self._folder / f"{len(list(self._folder.iterdir()))}.events", min(parts, _MOST_PARTS))


class Shelf:
    """The events of one type under one subject in a file: batch after batch, each sorted by part of the keys.

    Args:
        aggregates: those of this event type and subject.
        file: is made.
        parts: how many, a power of two.
    """

    def __init__(self, aggregates: Sequence[Aggregate], file: FilePath, parts: int):
        self.events, self.by = aggregates[0].events, aggregates[0].by
        self._file, self._parts = file, parts
        self._file.touch()
        self._ends = [np.zeros(1, np.int64)]  # for each batch, where its parts end in the file
        kinds = {**self.events.columns, **dict.fromkeys(TIMES, time)}
        self._kinds: Mapping[str, Kind] = {c: kinds[c] for c in sorted({*TIMES}.union(*map(used, aggregates)))}

    def has(self, wanted: Iterable[Aggregate]) -> bool:
        """Whether it holds what aggregates read."""
        own = (self.events.name, self.by)
        return all((a.events.name, a.by) == own and used(a) <= set(self._kinds) for a in wanted)

    def add(self, columns: Columns, keys: Sequence[Ints]) -> None:
        """Puts events to those of their keys.

        Args:
            columns: of n events.
            keys: one or two columns, int64 [n] or [n, m].
        """
        event, flat = exploded(keys)
        values = [stored(columns, name, kind, len(columns["seq"]))[event] for name, kind in self._kinds.items()]
        table = np.column_stack([*flat, *(v.view(np.int64) for v in values)])
        part = self._part(flat)
        order = np.argsort(part, kind="stable")
        with self._file.open("ab") as file:
            table[order].tofile(file)
        self._ends.append(self._edges(part[order]) + self._ends[-1][-1])

    def windows(self, aggregates: Sequence[Aggregate], keys: tuple[Ints, ...], at: Ints) -> list[Ints]:
        """See `State.windows`."""
        return self._answer(lambda group, some, when: group.windows(aggregates, some, when), keys, at)

    def recent(self, aggregate: Aggregate, keys: tuple[Ints, ...], at: Ints) -> tuple[Ints, Ints]:
        """See `State.recent`."""
        values, times = self._answer(lambda group, some, when: group.recent(aggregate, some, when), keys, at)
        return values, times

    def _answer(self, ask: Callable[..., Sequence[Ints]], keys: Sequence[Ints], at: Ints) -> list[Ints]:
        """Asks each part about its keys, and puts the answers in the order of the questions."""
        *keys, at = np.broadcast_arrays(*keys, at)
        part = self._part(keys)
        order = np.argsort(part, kind="stable")
        ends = self._edges(part[order])
        found: list[Ints] = []
        for number in np.flatnonzero(np.diff(ends)).tolist() or [0]:
            rows = order[ends[number] : ends[number + 1]]
            answers = ask(self._group(number), tuple(k[rows] for k in keys), at[rows])
            found = found or [np.empty((len(part), *a.shape[1:]), np.int64) for a in answers]
            for whole, answer in zip(found, answers, strict=True):
                whole[rows] = answer
        return found

    def _group(self, number: int) -> Group:
        table = self._read(number)
        keys, values = table[:, : len(self.by)], table[:, len(self.by) :]
        columns = {name: _column(values[:, i], kind) for i, (name, kind) in enumerate(self._kinds.items())}
        order = by_time(columns["known_at"], columns["seq"])
        own = [np.ascontiguousarray(k if order is None else k[order]) for k in keys.T]
        return Group(Log(self.events, columns), own)

    def _part(self, keys: Sequence[Ints]) -> NDArray[np.uint16]:
        """The part of each key: as uint16, which numpy sorts by its digits."""
        return ((mixed(keys) >> np.uint64(32)) & np.uint64(self._parts - 1)).astype(np.uint16)

    def _edges(self, parts: NDArray[np.uint16]) -> Ints:
        """Where each part begins among sorted ones, and the end."""
        return np.searchsorted(parts, np.arange(self._parts + 1, dtype=np.uint16))

    def _read(self, number: int) -> Ints:
        """The rows of one part."""
        width = len(self.by) + len(self._kinds)
        if not self._ends[-1][-1]:
            return np.empty((0, width), np.int64)
        rows = np.memmap(self._file, np.int64, "r").reshape(-1, width)
        return np.concatenate([rows[ends[number] : ends[number + 1]] for ends in self._ends[1:]])


def _column(values: Ints, kind: Kind) -> NDArray[Any]:
    values = np.ascontiguousarray(values)
    return values.view(np.float64) if kind.storage == "number" else values
