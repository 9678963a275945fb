"""Shared memory: int64 cells in sparse files that every process maps, and the header that says what they hold."""

import mmap
import os
import threading
import time
import zlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from winnow.features.batch import Ints

FORMAT = 2  # of everything in the folder; another number means: build anew from the log
_COUNTERS = 64  # where the counters start in the header
_HEADER = 1 << 14
COUNTED = 3  # counters per table: refused, evicted, highest row in use plus one
_COPIERS = 4  # threads: a disk is quicker with several files at once
CLOSED = -1  # boot word of a state whose files were synced and closed


def mapped(path: Path, cells: int) -> Ints:
    """A file of int64 cells in shared memory, made when absent; cells never written are 0 and take no space."""
    with path.open("a+b") as file:
        if file.seek(0, os.SEEK_END) < cells * 8:
            file.truncate(cells * 8)
        memory = mmap.mmap(file.fileno(), cells * 8)
    # Rows are met at random: reading ahead would fill the holes around each with pages that nobody asked for.
    memory.madvise(mmap.MADV_RANDOM)
    return np.frombuffer(memory, np.int64)


def emptied(path: Path) -> None:
    """Gives back the memory of a file of cells, even where other processes map it: they read zeros from then on.

    The header keeps its size and what it says, and so do files that hold no cells.
    """
    if path.name == "header" or path.suffix in (".json", ".new"):
        return
    with path.open("r+b") as file, suppress(OSError):  # a place that knows no holes keeps it until it is removed
        if size := file.seek(0, os.SEEK_END):
            with mmap.mmap(file.fileno(), size) as memory:
                memory.madvise(mmap.MADV_REMOVE)


def boot_id() -> int:
    """A number that changes when the machine starts anew: what was only in memory is then lost."""
    try:
        text = Path("/proc/sys/kernel/random/boot_id").read_text()
    except OSError:
        text = str((time.time_ns() - time.monotonic_ns()) // 60_000_000_000)
    return zlib.crc32(text.encode())


class Sheet(Protocol):
    """Lines of int64 cells by row: the seam at which the reading code meets the place where lines are kept.

    A cell that was never written, and every cell of a row outside, is 0: what stands for "nothing" is held as 0.
    """

    width: int

    def columns(self, rows: Ints, places: Ints) -> Ints:
        """Some cells of each row, one place after the other: int64 [p, n].

        Args:
            rows: int64 [n].
            places: int64 [p, 1], or [p, n] for other ones in each row.
        """
        ...

    def lines(self, rows: Ints) -> Ints:
        """All cells of each row, int64 [n, width]."""
        ...


class SharedSheet:
    """A sheet in a sparse file of shared memory.

    Args:
        path: the file.
        rows: the cap; larger row numbers are never stored.
        width: cells per row.
        name: what its writes call it.
    """

    def __init__(self, path: Path, rows: int, width: int, *, name: str = ""):
        self.name, self.rows, self.width = name, rows, width
        self._cells = mapped(path, (rows + 2) * width)  # a row before the first and one after the last stay empty
        self._lines = self._cells.reshape(rows + 2, width)

    def columns(self, rows: Ints, places: Ints) -> Ints:
        """See `Sheet.columns`; clipping a row that is too large gives the empty last one."""
        return self._cells.take((rows + 1) * self.width + places, mode="clip")

    def cells(self, rows: Ints, places: Ints) -> Ints:
        """Some cells of each row, int64 [n, p]; places [p] or [n, p]."""
        return self._cells.take(((rows + 1) * self.width)[:, None] + places, mode="clip")

    def cell(self, rows: Ints, place: int) -> Ints:
        """One cell of each row, int64 [n]."""
        return self._cells.take((rows + 1) * self.width + place, mode="clip")

    def lines(self, rows: Ints) -> Ints:
        """See `Sheet.lines`."""
        return self._lines.take(rows + 1, axis=0, mode="clip")

    def write(self, rows: Ints, places: Ints | int, values: Ints) -> "Write":
        """The write that will set cells: one per row, or [n, p] where `places` is [p] or [n, p]."""
        base = (rows + 1) * self.width
        return Write(self.name, rows, self._cells, (base if values.ndim == 1 else base[:, None]) + places, values)

    def clear(self, rows: Ints) -> "Write":
        """The write that will empty rows."""
        return Write(self.name, rows, self._lines, rows + 1, np.int64(0))


@dataclass(frozen=True, eq=False)
class Write:
    """New values for some cells, worked out but not yet visible to readers.

    Args:
        sheet: name of the sheet that the cells belong to.
        rows: the rows that change, int64 [n].
        cells: what is written to.
        index: where.
        values: what.
    """

    sheet: str
    rows: Ints
    cells: Ints
    index: Ints
    values: Ints | np.int64

    def publish(self) -> None:
        """Makes the values visible."""
        self.cells[self.index] = self.values


def rows_changed(writes: Iterable[Write]) -> dict[str, Ints]:
    """The rows that writes change, by sheet: int64 [r], ascending."""
    rows: dict[str, list[Ints]] = {}
    for write in writes:
        rows.setdefault(write.sheet, []).append(write.rows)
    return {sheet: np.unique(np.concatenate(parts)) for sheet, parts in rows.items()}


class Word:
    """One number of the header."""

    def __init__(self, place: int):
        self._place = place

    def __get__(self, header: "Header", _: type) -> int:
        return int(header.words[self._place])

    def __set__(self, header: "Header", value: int) -> None:
        header.words[self._place] = value


class Header:
    """What the files of a state hold, in shared memory.

    `version` is odd while a change is being published, and stays odd for ever if the writer dies in the middle.
    """

    format = Word(0)
    version = Word(1)
    applied = Word(2)  # seq of the last log row applied
    watermark = Word(3)  # every event known before this moment has been applied
    boot = Word(4)
    retired = Word(5)  # 1: another generation has taken over
    layout = Word(6)  # how often the layout file has changed

    def __init__(self, path: Path):
        self.words = mapped(path, _HEADER)

    def counters(self, number: int) -> Ints:
        """The counters of a table: rows or pairs refused, pairs evicted, highest row in use plus one; int64 [3]."""
        start = _COUNTERS + COUNTED * number
        return self.words[start : start + COUNTED]

    @property
    def sound(self) -> bool:
        """Whether the cells are a whole state: written by this format and not torn by a kill or a lost machine."""
        return self.format == FORMAT and self.version % 2 == 0 and self.boot in (boot_id(), CLOSED)

    @contextmanager
    def publishing(self) -> Iterator[None]:
        """Keeps readers away from what happens inside."""
        self.version += 1
        fence()
        yield
        fence()
        self.version += 1


_gate = threading.Lock()


def fence() -> None:
    """Keeps memory accesses before it from passing those after it: two lock round trips are a full barrier."""
    for _ in range(2):
        _gate.acquire()
        _gate.release()


def sync(folder: Path) -> None:
    """Puts all the files of a folder on disk."""
    for path in folder.iterdir():
        _fsync(path)
    _fsync(folder)


def copy(source: Path, target: Path, *, durable: bool = True) -> None:
    """Copies a folder of sparse files: holes stay holes.

    Args:
        source, target: the folders.
        durable: whether to wait until the copy is on disk; else `sync` has to be called.
    """
    target.mkdir()
    with ThreadPoolExecutor(_COPIERS) as pool:
        list(pool.map(lambda path: _copy_file(path, target / path.name), source.iterdir()))
        if durable:
            list(pool.map(_fsync, target.iterdir()))
    if durable:
        _fsync(target)
        _fsync(target.parent)


def _copy_file(source: Path, target: Path) -> None:
    with source.open("rb") as old, target.open("wb") as new:
        new.truncate(source.stat().st_size)
        for start, size in _extents(old.fileno()):
            _copy_range(old.fileno(), new.fileno(), start, size)


def _fsync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _extents(handle: int) -> Iterator[tuple[int, int]]:
    """Start and size of each part of a file that holds data."""
    end = 0
    while True:
        try:
            start = os.lseek(handle, end, os.SEEK_DATA)
        except OSError:  # ENXIO: nothing but a hole is left
            return
        end = os.lseek(handle, start, os.SEEK_HOLE)
        yield start, end - start


def _copy_range(old: int, new: int, start: int, size: int) -> None:
    """In the kernel, and so in few calls: each has to wait for the other threads of Python before and after."""
    os.lseek(new, start, os.SEEK_SET)
    while size:
        try:
            done = os.sendfile(new, old, start, size)
        except OSError:  # some systems send to sockets only; what else there may be, writing says
            done = os.pwrite(new, os.pread(old, min(size, 1 << 22), start), start)
            os.lseek(new, start + done, os.SEEK_SET)
        if not done:
            raise OSError("a file ended while it was copied")
        start, size = start + done, size - done


def blocks(folder: Path, name: str = "*") -> int:
    """Bytes that the files of a folder really take up."""
    return sum(path.stat().st_blocks * 512 for path in folder.glob(name))
