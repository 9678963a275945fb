"""Vectors on disk, by content hash: any number of readers without locks, one writer at a time, safe to kill.

Two files. `index`: a header of 64 bytes that names the file of vectors, then 16 bytes per row: hash, CRC-32 of the
vector, and 4 bytes of nothing. `vectors-*`: the rows, float32 or float16 [n, size]. A row's vector is on disk before
its entry in the index; what a killed writer leaves half done at the ends is cut off by the next. When rows turn out
damaged, the good ones move to new files and a new index takes the old one's place.
"""

import fcntl
import os
import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from winnow.encoders.base import Floats

Ints = NDArray[np.int64]
HEADER = struct.Struct("<8sI52s")
MAGIC = b"WINVEC01"
ENTRY = np.dtype([("hash", "<i8"), ("crc", "<u4"), ("nothing", "<u4")])
_TAIL = 4096  # new rows that are kept apart before they are sorted in with the others


@dataclass(frozen=True)
class _Sorted:
    """Hashes in order, with their rows."""

    hashes: Ints
    rows: Ints

    @classmethod
    def of(cls, hashes: Ints, first: int) -> "_Sorted":
        order = np.argsort(hashes, kind="stable")
        return cls(hashes[order], order + first)

    def find(self, hashes: Ints) -> Ints:
        """The row of each hash, -1 where there is none."""
        if not len(self.hashes):
            return np.full(len(hashes), -1)
        order = np.argsort(hashes)  # neighbours share most of their way down: half the time at a million rows
        wanted = hashes[order]
        place = np.minimum(np.searchsorted(self.hashes, wanted), len(self.hashes) - 1)
        found = np.empty(len(hashes), np.int64)
        found[order] = np.where(self.hashes[place] == wanted, self.rows[place], -1)
        return found


@dataclass(frozen=True)
class _Seen:
    """What a process has read: the same for all its threads until more is there."""

    stamp: tuple[int, ...]
    file: str
    entries: NDArray[np.void]
    main: _Sorted
    tail: _Sorted
    vectors: NDArray[Any]

    def find(self, hashes: Ints) -> Ints:
        rows = self.main.find(hashes)
        return np.maximum(rows, self.tail.find(hashes)) if len(self.tail.rows) else rows


class Rows:
    """The vectors of one encoder.

    Args:
        folder: theirs alone.
        size: length of a vector.
        kind: of its numbers on disk: `<f4`, or `<f2` for half the space and three decimal digits.
    """

    def __init__(self, folder: Path, size: int, kind: str = "<f4"):
        self._kind = np.dtype(kind)
        self._folder, self._index, self._size = folder, folder / "index", size
        self._lock = threading.Lock()
        self._checked = False
        self._seen = self._nothing()

    def find(self, hashes: Ints) -> Floats:
        """The vectors of hashes, float32 [n, size]; NaN where there is none."""
        seen, rows = self._found(hashes)
        vectors = seen.vectors.take(rows, axis=0, mode="wrap").astype(np.float32, copy=False)
        absent = rows < 0
        if absent.any():
            vectors[absent] = np.nan
        return vectors

    def known(self, hashes: Ints) -> NDArray[np.bool_]:
        """Which hashes have a vector, bool [n]."""
        return self._found(hashes)[1] >= 0

    @staticmethod
    def count(folder: Path) -> int:
        """How many vectors there are, by the size of the index."""
        return max((folder / "index").stat().st_size - HEADER.size, 0) // ENTRY.itemsize

    def __len__(self) -> int:
        return len(self._newest().entries)

    def _found(self, hashes: Ints) -> tuple[_Seen, Ints]:
        seen = self._seen
        rows = seen.find(hashes)
        if ((rows < 0) & (hashes >= 0)).any():
            newest = self._newest()
            rows = rows if newest is seen else newest.find(hashes)
            return newest, rows
        return seen, rows

    def append(self, hashes: Ints, vectors: Floats) -> None:
        """Write vectors that are not there yet; damaged files are mended first.

        Args:
            hashes: int64 [n], different.
            vectors: float32 [n, size].
        """
        with self._writing():
            self._mend()
            new = ~self.known(hashes)
            if new.any():
                self._write(hashes[new], np.ascontiguousarray(vectors[new], self._kind))

    def check(self) -> None:
        """Mend what is damaged, and make the files if there are none; checks every row the first time."""
        with self._writing():
            self._mend()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "writer").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _write(self, hashes: Ints, vectors: NDArray[Any]) -> None:
        place = len(self._seen.entries)
        put(self._folder / self._file(), vectors.tobytes(), place * self._kind.itemsize * self._size)
        put(self._index, entries_of(hashes, vectors).tobytes(), HEADER.size + place * ENTRY.itemsize)

    def _mend(self) -> None:
        name = self._file()
        if not name:
            self._start(np.empty(0, np.int64), np.empty((0, self._size), self._kind))
        elif not self._checked:
            seen = self._newest(again=True)
            whole = (self._index.stat().st_size - HEADER.size) // ENTRY.itemsize
            good = [zlib.crc32(v) == crc for v, crc in zip(seen.vectors, seen.entries["crc"].tolist(), strict=False)]
            if whole > len(seen.entries) or not all(good):
                kept = np.flatnonzero(good)
                self._start(seen.entries["hash"][kept], seen.vectors[kept])
        self._checked = True
        self._newest()

    def _start(self, hashes: Ints, vectors: NDArray[Any]) -> None:
        """New files with these rows; readers go on with the old ones until they see the new index."""
        name, old, beside = f"vectors-{uuid4().hex[:16]}", list(self._folder.glob("vectors-*")), self._folder / "new"
        put(self._folder / name, vectors.tobytes(), 0)
        header = HEADER.pack(MAGIC, self._size, name.encode())
        put(beside, header + entries_of(hashes, vectors).tobytes(), 0)
        beside.rename(self._index)
        for file in old:
            file.unlink(missing_ok=True)

    def _file(self) -> str:
        """The file of vectors that the index on disk names; empty when there is no sound index."""
        try:
            with self._index.open("rb") as file:
                return self._named(file.read(HEADER.size))
        except FileNotFoundError:
            return ""

    def _named(self, index: bytes) -> str:
        if len(index) < HEADER.size:
            return ""
        magic, size, name = HEADER.unpack_from(index)
        file = str(name.rstrip(b"\0").decode("ascii", "replace"))
        sound = magic == MAGIC and size == self._size and (self._folder / file).is_file()
        return file if sound else ""

    def _nothing(self) -> _Seen:
        none = _Sorted(np.empty(0, np.int64), np.empty(0, np.int64))
        return _Seen((), "", np.empty(0, ENTRY), none, none, np.zeros((1, self._size), self._kind))

    def _newest(self, *, again: bool = False) -> _Seen:
        """What is there now."""
        try:
            status = self._index.stat()
        except FileNotFoundError:
            return self._seen
        stamp = (status.st_ino, status.st_size, status.st_mtime_ns)
        seen = self._seen
        if stamp != seen.stamp or again:
            with self._lock:
                self._seen = seen = self._read(stamp)
        return seen

    def _read(self, stamp: tuple[int, ...]) -> _Seen:
        try:
            data = self._index.read_bytes()
            name = self._named(data)
            if not name:
                return self._nothing()
            there = (self._folder / name).stat().st_size // (self._kind.itemsize * self._size)
            whole = min(there, (len(data) - HEADER.size) // ENTRY.itemsize)
            return self._sorted(stamp, name, np.frombuffer(data, ENTRY, whole, HEADER.size))
        except FileNotFoundError:  # a writer has just put new files in their place
            return self._seen

    def _sorted(self, stamp: tuple[int, ...], name: str, entries: NDArray[np.void]) -> _Seen:
        hashes = entries["hash"].copy()
        main = self._seen.main if self._seen.file == name else self._nothing().main
        if len(hashes) - len(main.rows) > max(_TAIL, len(main.rows) // 8) or len(hashes) < len(main.rows):
            main = _Sorted.of(hashes, 0)
        tail = _Sorted.of(hashes[len(main.rows) :], len(main.rows))
        vectors = np.zeros((1, self._size), self._kind)
        if len(hashes):
            vectors = np.memmap(self._folder / name, self._kind, "r", shape=(len(hashes), self._size))
        return _Seen(stamp, name, entries, main, tail, np.asarray(vectors))


def entries_of(hashes: Ints, vectors: NDArray[Any]) -> NDArray[np.void]:
    """The entries of the index for n rows."""
    entries = np.zeros(len(hashes), ENTRY)
    entries["hash"] = hashes
    entries["crc"] = [zlib.crc32(v) for v in np.ascontiguousarray(vectors)]
    return entries


def put(path: Path, data: bytes, place: int) -> None:
    """Write bytes at a place, cut off what lies behind, and wait until they are on disk."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
    try:
        os.ftruncate(descriptor, place)
        os.lseek(descriptor, place, os.SEEK_SET)
        with os.fdopen(descriptor, "wb", closefd=False) as file:
            file.write(data)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
