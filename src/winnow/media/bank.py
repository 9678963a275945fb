"""A bank of known content: hashes of 256 bits with labels, looked up exactly.

    bank = HashBank.build(hashes, labels)              # PDQ hashes, uint64 [N, 4]
    rows, distances = bank.within(pdq(pixels)[0])      # all within 31 bits, nearest first
    files = HashBank.build(digests, labels, reach=0)   # SHA-256 of files of any kind
    rows, _ = files.within(digest(data), 0)

What is added and removed afterwards lies over an immutable base until `rebuild`. Row numbers stay as they are.
"""

import hashlib
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from winnow.core.errors import InputError, Problem
from winnow.media import bands, bank_files

Words = NDArray[np.uint64]
Ints = NDArray[np.int64]


class _Snapshot(NamedTuple):
    """What a look-up sees: arrays of the base, of what came since, and which rows are still there."""

    base: Words
    tables: bands.Tables | None
    codes: NDArray[np.int32]
    late: Words
    late_codes: NDArray[np.int32]
    names: tuple[str, ...]
    kept: NDArray[np.bool_]


class HashBank:
    """Hashes and their labels. Look-ups never wait; any number of threads may look up while one changes the bank."""

    def __init__(self, snapshot: _Snapshot, *, reach: int):
        self._now, self._reach = snapshot, reach
        self._lock = threading.Lock()
        self._saved: tuple[Words, str] | None = None  # the base that is on disk, and its name

    @classmethod
    def build(cls, hashes: Words, labels: Sequence[str], *, reach: int = bands.REACH) -> "HashBank":
        """A bank of some hashes; 10^6 take four seconds and 146 MB.

        Args:
            hashes: uint64 [N, 4]; their row numbers are 0 to N - 1.
            labels: of each, what it is known as.
            reach: 31, or 0 for a bank that is asked for equal hashes only: a third of the memory.

        Raises:
            InputError: `bad-hash`.
        """
        hashes = _checked(hashes, labels)
        names, codes = np.unique(np.asarray(labels, dtype=str), return_inverse=True)
        empty = np.empty((0, 4), np.uint64), np.empty(0, np.int32)
        kept, base = np.ones(len(hashes), np.bool_), (hashes, _tables(hashes, reach), codes.astype(np.int32))
        return cls(_Snapshot(*base, *empty, tuple(map(str, names)), kept), reach=reach)

    def __len__(self) -> int:
        return int(self._now.kept.sum())

    @property
    def late(self) -> int:
        """Hashes that came since the base was built; each look-up compares all of them."""
        return len(self._now.late)

    def within(self, hash: Words, distance: int = bands.REACH) -> tuple[Ints, Ints]:
        """All hashes within a distance, nearest first.

        Args:
            hash: uint64 [4].
            distance: bits. Farther than 31, every hash is compared.

        Returns:
            Row numbers and distances, int64 [M] each.

        Raises:
            InputError: `bad-hash`.
        """
        now, wanted = self._now, _checked(np.asarray(hash)[None], ("",))[0]
        rows, away = bands.searched(now.base, now.tables, wanted, distance)
        if len(now.late):
            late, late_away = bands.scanned(now.late, wanted, distance)
            rows, away = np.concatenate([rows, late + len(now.base)]), np.concatenate([away, late_away])
        there = now.kept[rows]
        rows, away = rows[there], away[there]
        order = np.lexsort((rows, away))
        return rows[order], away[order]

    def labels(self, rows: Sequence[int] | Ints) -> list[str]:
        """The labels of some rows, also of removed ones."""
        now = self._now
        return [now.names[now.codes[r] if r < len(now.codes) else now.late_codes[r - len(now.codes)]] for r in rows]

    def add(self, hashes: Words, labels: Sequence[str]) -> Ints:
        """Adds hashes, uint64 [M, 4]; they are found at once.

        Returns:
            Their row numbers, int64 [M].

        Raises:
            InputError: `bad-hash`.
        """
        hashes = _checked(hashes, labels)
        with self._lock:
            now, first = self._now, len(self._now.kept)
            codes = {name: code for code, name in enumerate(now.names)}
            new = [codes.setdefault(str(label), len(codes)) for label in labels]
            self._now = now._replace(
                late=np.concatenate([now.late, hashes]),
                late_codes=np.concatenate([now.late_codes, np.array(new, np.int32)]),
                names=tuple(codes), kept=np.concatenate([now.kept, np.ones(len(hashes), np.bool_)]),
            )  # fmt: skip
        return np.arange(first, first + len(hashes))

    def remove(self, rows: Sequence[int] | Ints) -> None:
        """Removes hashes by row number; they are not found any more. Rows that are not there are passed over."""
        with self._lock:
            kept, gone = self._now.kept.copy(), np.asarray(rows, np.int64)
            kept[gone[(gone >= 0) & (gone < len(kept))]] = False
            self._now = self._now._replace(kept=kept)

    def rebuild(self) -> None:
        """Takes what was added into the base; look-ups and changes go on meanwhile. Advisable from 20,000 on."""
        then = self._now
        base, codes = np.concatenate([then.base, then.late]), np.concatenate([then.codes, then.late_codes])
        tables = _tables(base, self._reach)
        with self._lock:
            since = len(base) - len(self._now.base)
            late, late_codes = self._now.late[since:], self._now.late_codes[since:]
            self._now = self._now._replace(base=base, tables=tables, codes=codes, late=late, late_codes=late_codes)

    def save(self, folder: Path) -> None:
        """Writes the bank, or only what changed if its base is there. One process at a time writes a folder.

        A process that is killed while it saves leaves the save before.
        """
        now = self._now
        known = self._saved[1] if self._saved and self._saved[0] is now.base else None
        base: dict[str, Any] = {"hashes": now.base, "codes": now.codes}
        if now.tables is not None:
            base |= now.tables._asdict()
        changes: bank_files.Arrays = {"hashes": now.late, "codes": now.late_codes, "gone": np.flatnonzero(~now.kept)}
        name = bank_files.write(folder, base, changes, names=now.names, reach=self._reach, known=known)
        self._saved = (now.base, name)

    @classmethod
    def open(cls, folder: Path, *, verify: bool = False) -> "HashBank":
        """The bank as last saved; its base is mapped, not read, and shared between processes.

        Args:
            folder: that `save` wrote.
            verify: compare the checksums of all files, half a second for 10^6 hashes.

        Raises:
            Unavailable: `bank-unreadable`, also when nothing was saved yet.
        """
        found = bank_files.read(folder, verify=verify)
        base, changes = found.base, found.changes
        tables = bands.Tables(*(base[part] for part in bands.Tables._fields)) if "rows" in base else None
        kept = np.ones(len(base["hashes"]) + len(changes["hashes"]), np.bool_)
        kept[changes["gone"]] = False
        late = changes["hashes"], changes["codes"]
        bank = cls(_Snapshot(base["hashes"], tables, base["codes"], *late, found.names, kept), reach=found.reach)
        bank._saved = (base["hashes"], found.name)
        return bank


def digest(data: bytes) -> Words:
    """The SHA-256 of a file as a hash for a bank of reach 0, uint64 [4]."""
    return np.frombuffer(hashlib.sha256(data).digest(), "<u8").astype(np.uint64)


def _tables(hashes: Words, reach: int) -> bands.Tables | None:
    return bands.built(hashes, reach=reach) if len(hashes) > bands.SCAN else None


def _checked(hashes: Words, labels: Sequence[str]) -> Words:
    hashes = np.asarray(hashes)
    if hashes.dtype != np.uint64 or hashes.ndim != 2 or hashes.shape[1] != 4 or len(labels) != len(hashes):
        what = f"hashes are {hashes.dtype} {list(hashes.shape)} with {len(labels)} labels"
        raise InputError(Problem("bad-hash", what, fix="give uint64 [N, 4] and N labels"))
    return np.ascontiguousarray(hashes)
