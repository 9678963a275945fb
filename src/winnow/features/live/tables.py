"""The live tables: windows, recent lists and table columns by row number. Each works out its writes before publishing.

Args of every `prepare`: rows int64 [e], the row (or pair slot) that each event counts under, in log order.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from winnow.data.schema import Kind
from winnow.features.batch import Ints
from winnow.features.keys import missing
from winnow.features.live.files import Sheet, Write
from winnow.features.state import NEVER, SET_WIDTH

_BIAS = 1 << 61  # hops are held shifted by this, so that 0, an untouched row, is older than any


class Totals:
    """Counts or sums over all time: one cell per row."""

    def __init__(self, path: Path, cap: int):
        self._sheet = Sheet(path, cap, 1)

    def read(self, rows: Ints, _: int | Ints) -> Ints:
        return self._sheet.read(rows)

    def prepare(self, rows: Ints, _: Ints, adds: Ints) -> list[Write]:
        row, first, order = grouped(rows)
        total = self._sheet.read(row) + np.add.reduceat(adds[order], first)
        return [self._sheet.write(row, total)]


class Ring:
    """Counts or sums in a window of B hops.

    A row holds its all-time total, the hop of its newest event (the head), and what the total was at the end of each
    of the B hops before the head. A window is then one subtraction: total - total at the end of the hop that has just
    left it. Totals may wrap around; their differences do not.

    Args:
        path: the file.
        cap: rows.
        hop: microseconds.
        buckets: B.
    """

    def __init__(self, path: Path, cap: int, *, hop: int, buckets: int):
        self._sheet = Sheet(path, cap, buckets + 2)
        self._hop, self._buckets = hop, buckets

    def read(self, rows: Ints, at: int | Ints) -> Ints:
        cells, size = self._sheet.cells, self._buckets
        now = at // self._hop + _BIAS
        base = self._sheet.index(rows)
        total, head = cells.take(base + size, mode="clip"), cells.take(base + (size + 1), mode="clip")
        total -= cells.take(base + now % size, mode="clip")
        total *= head > now - size
        return total

    def prepare(self, rows: Ints, at: Ints, adds: Ints) -> list[Write]:
        hops = at // self._hop + _BIAS
        row, first, order = grouped(rows)
        hops, adds = hops[order], adds[order]
        newest, oldest = np.maximum.reduceat(hops, first), np.minimum.reduceat(hops, first)
        head = self._sheet.read(row, self._buckets + 1)
        same = (newest == head) & (oldest == head)  # nearly all rows while a hop lasts: only the total changes
        total = self._sheet.read(row[same], self._buckets) + np.add.reduceat(adds, first)[same]
        writes = [self._sheet.write(row[same], total, self._buckets)]
        if not same.all():
            group = np.repeat(np.arange(len(row)), np.diff(np.append(first, len(order))))
            moved = np.cumsum(~same) - 1
            of = np.flatnonzero(~same[group])
            writes.append(self._move(row[~same], newest[~same], of=moved[group[of]], hops=hops[of], adds=adds[of]))
        return writes

    def _move(self, row: Ints, newest: Ints, *, of: Ints, hops: Ints, adds: Ints) -> Write:
        """Rows whose head moves or that got older events: new cells in the order of hops, put back around the ring."""
        size, lines = self._buckets, self._sheet.lines(row)
        total, old_head = lines[:, size, None], lines[:, size + 1, None]
        head = np.maximum(lines[:, size + 1], newest)
        hop = head[:, None] - size + np.arange(size)
        place = hop % size
        ends = np.where(hop < old_head, np.take_along_axis(lines, place, axis=1), total)
        step = hops - head[of] + size  # 1 .. size inside the window; older events no longer count
        late = step >= 1
        delta = np.zeros((len(row), size + 1), np.int64)
        np.add.at(delta, (of[late], step[late]), adds[late])
        delta = np.cumsum(delta, axis=1)
        np.put_along_axis(lines, place, ends + delta[:, :size], axis=1)
        lines[:, size] += delta[:, size]
        lines[:, size + 1] = head
        return self._sheet.write_lines(row, lines)


class Lists:
    """The last k events of each row: own times and values, newest first.

    Args:
        path: the file of times; that of values lies beside it.
        cap: rows.
        k: how many are kept.
        values: whether values are kept besides times.
    """

    def __init__(self, path: Path, cap: int, *, k: int, values: bool):
        self._k = k
        self._times = Sheet(path, cap, k, empty=NEVER)
        self._values = Sheet(path.with_suffix(".values"), cap, k, empty=-1) if values else None

    def read(self, rows: Ints) -> tuple[Ints, Ints]:
        times = self._times.lines(rows)
        return (np.full_like(times, -1) if self._values is None else self._values.lines(rows)), times

    def prepare(self, rows: Ints, at: Ints, values: Ints | None) -> list[Write]:
        newest = np.lexsort((-np.arange(len(rows)), ~at, rows))
        ordered = rows[newest]
        rank = np.arange(len(rows)) - np.searchsorted(ordered, ordered)
        newest, rank = newest[rank < self._k], rank[rank < self._k]
        row, group = np.unique(rows[newest], return_inverse=True)
        times = self._merged(self._times, row, (group, rank), at[newest])
        order = np.argsort(~times, axis=1, kind="stable")[:, : self._k]  # ties: the new, which stand first, are later
        writes = [self._times.write_lines(row, np.take_along_axis(times, order, axis=1))]
        if self._values is not None and values is not None:
            merged = self._merged(self._values, row, (group, rank), values[newest])
            writes.append(self._values.write_lines(row, np.take_along_axis(merged, order, axis=1)))
        return writes

    def _merged(self, sheet: Sheet, row: Ints, place: tuple[Ints, Ints], new: Ints) -> Ints:
        """New cells, then those held, of each row: int64 [r, m + k]."""
        fresh = np.full((len(row), int(place[1].max()) + 1), sheet.empty)
        fresh[place] = new
        return np.concatenate([fresh, sheet.lines(row)], axis=1)


class ColumnTable:
    """The current values of a table's column, and when each became known.

    Args:
        path: the file.
        cap: rows.
        kind: the column's kind.
    """

    def __init__(self, path: Path, cap: int, kind: Kind):
        self._float = kind.storage == "number"
        self._wide = kind.storage == "categories"
        self.width = SET_WIDTH if self._wide else 1
        empty = int(np.array([np.nan]).view(np.int64)[0]) if self._float else int(missing(kind))
        self._sheet = Sheet(path, cap, self.width, empty=empty)
        self._known = Sheet(path.with_suffix(".known"), cap, 1, empty=NEVER)

    def read(self, rows: Ints) -> NDArray[np.generic]:
        """As `State.column`."""
        if self._wide:
            return self._sheet.lines(rows)
        values = self._sheet.read(rows)
        return values.view(np.float64) if self._float else values

    def known_at(self, rows: Ints) -> Ints:
        """When each current value became known, int64 [n]; NEVER for none."""
        return self._known.read(rows)

    def prepare(self, rows: Ints, known_at: Ints, values: NDArray[np.generic]) -> list[Write]:
        """The writes of changes in the order in which they became known; older ones than those held are left out."""
        keep = np.flatnonzero((known_at >= self._known.read(rows)) & (rows < self._sheet.rows))
        row, last = np.unique(rows[keep][::-1], return_index=True)
        pick = keep[::-1][last]
        cells = values[pick].view(np.int64)
        body = self._sheet.write_lines(row, cells) if self._wide else self._sheet.write(row, cells)
        return [body, self._known.write(row, known_at[pick])]


def grouped(rows: Ints) -> tuple[Ints, Ints, Ints]:
    """The different rows, where each begins in sorted order, and that order (stable)."""
    order = np.argsort(rows, kind="stable")
    ordered = rows[order]
    first = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    return ordered[first], first, order
