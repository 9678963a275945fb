"""Pictures that are nearly the same get the same name: found by perceptual hash, when a picture comes in."""

import fcntl
import os
import threading
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Hash = NDArray[np.uint64]
NEAR = 31  # bits of 256 in which two hashes of one picture may differ
_SURE = 50  # the hash of a picture with less to it says nothing
_BYTES = 32


class LookAlikes:
    """Groups of near-duplicates: a picture joins the group of the first picture within `NEAR` bits.

    All processes of a project share one file of the first pictures' hashes, 32 bytes each; it is compared with as a
    whole, so that nothing near is missed: 1 ms for 100,000 groups.

    Args:
        file: where the hashes are kept; made when the first picture comes.

    Source: Facebook, "The TMK+PDQF Video-Hashing Algorithm and the PDQ Image-Hashing Algorithm", 2019.
    """

    def __init__(self, file: Path):
        self._file, self._lock = file, threading.Lock()
        self._known: Hash = np.empty((0, 4), np.uint64)

    def group(self, hashed: Hash, quality: int, name: str) -> str:
        """The group of a picture.

        Args:
            hashed: its PDQ hash, uint64 [4].
            quality: of the hash, 0 to 100.
            name: what to call its group when the hash says nothing: the same for the same pixels.
        """
        if quality < _SURE:
            return name
        with self._lock:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with self._file.open("a+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX)  # another process may bring the same picture at the same time
                self._read(file.fileno())
                if (first := self._nearest(hashed)) is None:
                    file.write(hashed.astype("<u8").tobytes())
                    first = hashed
        return first.astype(">u8").tobytes().hex()

    def _read(self, descriptor: int) -> None:
        """Takes in what other processes have added."""
        size = os.fstat(descriptor).st_size // _BYTES
        if size > len(self._known):
            data = os.pread(descriptor, (size - len(self._known)) * _BYTES, len(self._known) * _BYTES)
            self._known = np.concatenate([self._known, np.frombuffer(data, "<u8").reshape(-1, 4).astype(np.uint64)])

    def _nearest(self, hashed: Hash) -> Hash | None:
        if not len(self._known):
            return None
        apart = np.bitwise_count(self._known ^ hashed).sum(axis=1, dtype=np.int64)
        best = int(apart.argmin())
        return self._known[best] if apart[best] <= NEAR else None
