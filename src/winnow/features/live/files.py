"""Shared memory: int64 cells in sparse files that every process maps, and the header that says what they hold."""

import os
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from winnow.features.batch import Ints

FORMAT = 1  # of everything in the folder; another number means: build anew from the log
_COUNTERS = 64  # where the counters start in the header
_HEADER = 1024
CLOSED = -1  # boot word of a state whose files were synced and closed


def mapped(path: Path, cells: int) -> Ints:
    """A file of int64 cells in shared memory, made when absent; cells never written are 0 and take no space."""
    with path.open("a+b") as file:
        if file.seek(0, os.SEEK_END) < cells * 8:
            file.truncate(cells * 8)
    return np.asarray(np.memmap(path, np.int64, "r+", shape=(cells,)))


def boot_id() -> int:
    """A number that changes when the machine starts anew: what was only in memory is then lost."""
    try:
        text = Path("/proc/sys/kernel/random/boot_id").read_text()
    except OSError:
        text = str((time.time_ns() - time.monotonic_ns()) // 60_000_000_000)
    return zlib.crc32(text.encode())


class Sheet:
    """Cells by row: int64 [rows, width] in shared memory. Cells never written, and rows outside, read as `empty`.

    Args:
        path: the file.
        rows: the cap; larger row numbers are never stored.
        width: cells per row.
        empty: what stands for "nothing"; held as 0, so that an untouched file is an empty table.
    """

    def __init__(self, path: Path, rows: int, width: int, *, empty: int = 0):
        self.rows, self.width, self.empty = rows, width, empty
        self.cells = mapped(path, (rows + 2) * width)  # a row before the first and one after the last stay empty
        self._lines = self.cells.reshape(rows + 2, width)

    def read(self, rows: Ints, place: int = 0) -> Ints:
        """One cell of each row, int64 [n]."""
        return self.cells.take(self.index(rows, place), mode="clip") ^ self.empty

    def lines(self, rows: Ints) -> Ints:
        """All cells of each row, int64 [n, width]."""
        return self._lines.take(rows + 1, axis=0, mode="clip") ^ self.empty

    def index(self, rows: Ints, place: int = 0) -> Ints:
        """Positions in `cells`; clipping a row that is too large gives the empty last one."""
        return (rows + 1) * self.width + place

    def write(self, rows: Ints, values: Ints, place: int = 0) -> "Write":
        """The write that will set one cell of each row."""
        return Write(self.cells, self.index(rows, place), values ^ self.empty)

    def write_lines(self, rows: Ints, values: Ints) -> "Write":
        """The write that will set all cells of each row."""
        return Write(self._lines, rows + 1, values ^ self.empty)


class Write:
    """New values for some cells, worked out but not yet visible to readers."""

    def __init__(self, cells: Ints, index: Ints, values: Ints):
        self._cells, self._index, self._values = cells, index, values

    def publish(self) -> None:
        """Makes the values visible."""
        self._cells[self._index] = self._values


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

    def __init__(self, path: Path):
        self.words = mapped(path, _HEADER)

    @property
    def counters(self) -> Ints:
        """One counter per table, of rows and pairs that it refused because it is full."""
        return self.words[_COUNTERS:]

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


def copy(source: Path, target: Path) -> None:
    """Copies a folder of sparse files: holes stay holes."""
    target.mkdir()
    for path in source.iterdir():
        with path.open("rb") as old, (target / path.name).open("wb") as new:
            new.truncate(path.stat().st_size)
            for start, size in _extents(old.fileno()):
                _copy_range(old.fileno(), new.fileno(), start, size)
    sync(target)
    _fsync(target.parent)


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
    while size:
        data = os.pread(old, min(size, 1 << 22), start)
        os.pwrite(new, data, start)
        start, size = start + len(data), size - len(data)


def blocks(folder: Path) -> int:
    """Bytes that a folder really takes up."""
    return sum(path.stat().st_blocks * 512 for path in folder.iterdir())


def as_floats(values: Ints) -> NDArray[np.float64]:
    """Cells that hold the bits of numbers."""
    return values.view(np.float64)
