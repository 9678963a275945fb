"""The last k events of each row. A line is how many there have been, then k own times and k values, round and round.

Event number i of a row lies at place i mod k, so an event in order of own time writes two cells however long the list
is. Times and values are held so that 0, an untouched cell, reads as nothing.
"""

from collections.abc import Iterator

import numpy as np

from winnow.features.batch import Ints
from winnow.features.live.files import SharedSheet, Sheet, Write
from winnow.features.live.groups import Grouped
from winnow.features.state import NEVER

_BLOCK = 1 << 16  # places of lists sorted anew at a time


class Lists:
    """Reads and updates lists.

    Args:
        sheet: the lines.
        k: how many are kept.
        values: whether values are kept besides times.
        empty: the value that stands for none.
    """

    def __init__(self, sheet: Sheet, *, k: int, values: bool, empty: int):
        self._sheet, self._k, self._values, self._empty = sheet, k, values, empty
        self._steps = np.arange(1, k + 1)

    @staticmethod
    def width(k: int, *, values: bool) -> int:
        """Cells per line."""
        return 1 + k * (1 + values)

    def read(self, rows: Ints) -> tuple[Ints, Ints]:
        """Values and own times, newest first: int64 [n, k] each."""
        lines = self._sheet.lines(rows)
        back = self._back(lines[:, 0])
        back += (lines.shape[1] * np.arange(len(lines)) + 1)[:, None]
        times = lines.take(back) ^ NEVER
        if not self._values:
            return np.full_like(times, self._empty), times
        back += self._k
        return lines.take(back) ^ self._empty, times

    def prepare(self, sheet: SharedSheet, group: Grouped, values: Ints | None) -> Iterator[Write]:
        """The writes of events, with their values in the group's order."""
        group, values = _by_own_time(group, values)
        count = sheet.cell(group.row, 0)
        last = sheet.cells(group.row, 1 + (count[:, None] - 1) % self._k)[:, 0] ^ NEVER
        late = group.at[group.first] < last
        after = np.where(late, 0, count)
        if not late.all():
            of = np.repeat(np.arange(len(after)), group.counts)
            keep = ~late[of] & (group.rank >= (group.counts - self._k)[of])
            place = 1 + (after[of] + group.rank)[keep] % self._k
            yield sheet.write(group.rows[keep], place, group.at[keep] ^ NEVER)
            if values is not None:
                yield sheet.write(group.rows[keep], place + self._k, values[keep] ^ self._empty)
            yield sheet.write(group.row[~late], 0, (count + group.counts)[~late])
        parts, size = np.flatnonzero(late), max(_BLOCK // self._k, 1)
        for i in range(0, len(parts), size):
            yield self._merged(sheet, group, parts[i : i + size], values)

    def _merged(self, sheet: SharedSheet, group: Grouped, part: Ints, values: Ints | None) -> Write:
        """Rows with an event older than the newest one held: the list is sorted anew."""
        row, (of, events) = group.row[part], group.within(part)
        newest = group.counts[part][of] - 1 - group.rank[events]
        of, events, place = (a[newest < self._k] for a in (of, events, newest))
        held_values, held_times = self.read(row)
        lines = np.zeros((len(row), sheet.width), np.int64)
        times = self._fresh((of, place), group.at[events], held_times, NEVER)
        order = np.argsort(~times, axis=1, kind="stable")[:, : self._k]  # ties: the new, which stand first, are later
        times = np.take_along_axis(times, order, axis=1)
        lines[:, 0] = (times != NEVER).sum(axis=1)
        back = self._back(lines[:, 0])
        np.put_along_axis(lines[:, 1 : self._k + 1], back, times ^ NEVER, axis=1)
        if values is not None:
            merged = self._fresh((of, place), values[events], held_values, self._empty)
            merged = np.take_along_axis(merged, order, axis=1)
            np.put_along_axis(lines[:, self._k + 1 :], back, merged ^ self._empty, axis=1)
        return sheet.write(row, np.arange(sheet.width), lines)

    def _fresh(self, place: tuple[Ints, Ints], new: Ints, held: Ints, empty: int) -> Ints:
        """New cells, then those held, of each row: int64 [r, m + k]."""
        fresh = np.full((len(held), int(place[1].max()) + 1), empty)
        fresh[place] = new
        return np.concatenate([fresh, held], axis=1)

    def _back(self, count: Ints) -> Ints:
        """The places of the newest, the one before, and so on: int64 [n, k]."""
        return (count[:, None] - self._steps) % self._k


def _by_own_time(group: Grouped, values: Ints | None) -> tuple[Grouped, Ints | None]:
    """Each row's events in the order of own time; ties stay in log order."""
    backwards = (group.at[1:] < group.at[:-1]) & (group.rows[1:] == group.rows[:-1])
    if not backwards.any():
        return group, values
    order = np.lexsort((group.at, group.rows))
    values = None if values is None else values[order]
    return Grouped(group.rows[order], group.event[order], group.at[order]), values
