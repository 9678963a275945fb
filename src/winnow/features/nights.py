"""Which nights of every row are free, as one bitmap for each night: a stay is found by a few passes over bits.

For R rows and N nights it takes R·N/8 bytes: 5 million listings and 550 nights 344 MB.
"""

import threading
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from winnow.core.time import MICROS, now_us
from winnow.data.nights import read

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]
Bytes = NDArray[np.uint8]
NIGHTS = 550  # kept, up to the latest that anybody has told
_GROWTH = 1.25
_FIRST = 128  # bytes: rows for which there is room at first, by eights
_NEVER = -1
_DAY = 86_400 * MICROS


class Nights:
    """Free nights of the rows of a table. One thread writes, any number ask.

    What nobody has told is not free: neither a row without a calendar, nor a night outside of it.

    Args:
        nights: how many are kept; a later night than any before takes the place of the earliest.
        clock: the present, microseconds UTC. Nights further ahead than `nights` are not kept: one calendar that speaks
            of the year 3000 would take the place of everybody's.
    """

    def __init__(self, nights: int = NIGHTS, clock: Callable[[], int] = now_us):
        self._clock = clock
        self._bits: Bytes = np.zeros((nights, _FIRST), np.uint8)
        self._days = np.full(nights, _NEVER, np.int64)  # which day each line stands for
        self._lock = threading.Lock()

    @property
    def bytes(self) -> int:
        """Memory taken."""
        return self._bits.nbytes

    def put(self, rows: Ints, texts: Sequence[str | None]) -> None:
        """Sets the calendars of rows; the last of a repeated row counts.

        Args:
            rows: int64 [n].
            texts: values as `data.nights.written` makes them; None, and what cannot be read, frees no night.
        """
        last = dict(zip(rows.tolist(), texts, strict=True))
        groups: dict[tuple[int, int], tuple[list[int], list[Mask]]] = {}
        for row, text in last.items():
            day, free = _told(text)
            at, flags = groups.setdefault((day, len(free)), ([], []))
            at.append(row)
            flags.append(free)
        with self._lock:
            self._make_room(max(last, default=-1))
            for (day, length), (at, flags) in groups.items():
                self._write(np.array(at), day, np.array(flags).reshape(len(at), length))

    def free(self, first: int, last: int, size: int) -> Mask:
        """Which of the rows 0..size-1 are free on all nights of a stay, bool [size].

        Args:
            first: day of arrival, from 1970-01-01.
            last: day of departure; that night is not part of the stay.
            size: how many rows.
        """
        days = np.arange(first, last)
        lines = days % len(self._days)
        with self._lock:
            if not len(days) or len(days) > len(self._days) or (self._days[lines] != days).any():
                return np.zeros(size, bool)
            found = np.bitwise_and.reduce(self._bits[lines], axis=0)
        enough = np.append(found, _none(size - 8 * len(found)))[: -(-size // 8)]
        return np.unpackbits(enough, count=size).view(bool)

    def of(self, row: int) -> list[int]:
        """The days of which the night is free, in order."""
        with self._lock:
            if row >> 3 >= self._bits.shape[1]:
                return []
            lines = np.flatnonzero(self._bits[:, row >> 3] & (128 >> (row & 7)))
            return [int(day) for day in np.sort(self._days[lines])]

    def _make_room(self, row: int) -> None:
        needed = (row >> 3) + 1
        if needed > self._bits.shape[1]:
            wider = np.zeros((len(self._bits), max(needed, int(self._bits.shape[1] * _GROWTH))), np.uint8)
            wider[:, : self._bits.shape[1]] = self._bits
            self._bits = wider

    def _write(self, rows: Ints, day: int, free: Mask) -> None:
        """Calendars that begin on the same day and are equally long, bool [n, nights]."""
        size = len(self._days)
        self._turn_to(day, free)
        days = np.arange(day, day + free.shape[1])
        lines, kept = days % size, self._days[days % size] == days
        whole = np.zeros((size, len(rows)), bool)
        whole[lines[kept]] = free.T[kept]
        for bit in range(8):
            which = np.flatnonzero(rows & 7 == bit)
            if len(which):
                place, one = rows[which] >> 3, np.uint8(128 >> bit)
                self._bits[:, place] = self._bits[:, place] & ~one | whole[:, which] * one

    def _turn_to(self, day: int, free: Mask) -> None:
        """Lines for the nights that somebody is free on: each begins empty, in place of an earlier night."""
        some = np.flatnonzero(free.any(axis=0)) + day
        size = len(self._days)
        some = some[some < self._clock() // _DAY + size]
        newest = max(int(self._days.max()), int(some.max(initial=_NEVER)))
        some = some[some > newest - size]
        new = some[self._days[some % size] < some]
        self._bits[new % size] = 0
        self._days[new % size] = new


def _told(text: str | None) -> tuple[int, Mask]:
    try:
        return read(text or "")
    except ValueError:
        return 0, np.zeros(0, bool)


def _none(rows: int) -> Bytes:
    """Nobody is free, in bits."""
    return np.zeros(max(-(-rows // 8), 0), np.uint8)
