"""Records: everything windowed that is kept about one subject side by side, so that one gather reads it all.

A *series* is what one kind of aggregate takes in: the same events, field and tests whatever the window. It has one
cell for all time, the total, and for each window a *ring* of B cells, one per hop before the newest event's hop (the
*head*). A ring answers a window with one cell:

- of a sum, the cell of a hop holds what the total was at its end: window = total - cell of the hop that has just left;
- of a maximum, it holds the largest value since its end: window = that cell.

Both are found at place (hop of now) mod B, so all rings of one (hop, B) lie interleaved and are read in one piece.
What cells hold depends only on the events so far, never on how they were batched. Totals may wrap around; their
differences do not. Maxima are held with their sign bit flipped: 0, an untouched cell, then is less than any.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from winnow.features.aggregate import Aggregate
from winnow.features.batch import Ints
from winnow.features.live.files import SharedSheet, Sheet, Write
from winnow.features.live.groups import Grouped
from winnow.features.state import NEVER

_BIAS = 1 << 61  # hops are held shifted by this, so that 0, an untouched head, is older than any
_BLOCK = 1 << 17  # ring cells worked out at a time: they fit in the cache
_NOTHING = np.uint64(0)


@dataclass(frozen=True)
class Ring:
    """Where the cells of one window lie in a record.

    Args:
        hop: microseconds.
        buckets: B.
        head: place of the head.
        base: place of the first cell.
        stride: from one cell to the next.
    """

    hop: int
    buckets: int
    head: int
    base: int
    stride: int


@dataclass(frozen=True)
class Cells:
    """Where an aggregate lies.

    Args:
        table: the record's table.
        op: how values come together.
        total: place of the total.
        ring: the window; None for all time.
    """

    table: str
    op: Literal["sum", "max"]
    total: int
    ring: Ring | None = None

    def to_data(self) -> list[Any]:
        """As the layout file holds it."""
        ring = self.ring
        return [self.op, self.total, *([ring.hop, ring.buckets, ring.head, ring.base, ring.stride] if ring else [])]

    @classmethod
    def of(cls, table: str, data: Sequence[Any]) -> "Cells":
        """From the layout file."""
        return cls(table, data[0], data[1], Ring(*data[2:]) if len(data) > 2 else None)


def series_of(a: Aggregate) -> str:
    """What an aggregate takes in, whatever its window."""
    tests = "".join(f"[{c.to_data()}]" for c in a.conditions)
    what = f"{a.kind}({'-' * a.negated}{a.events.name}.{a.value or ''}{tests})"
    return what if a.half_life is None else f"{what}/half{a.half_life}"


def laid_out(table: str, aggregates: Iterable[Aggregate]) -> tuple[int, dict[str, Cells]]:
    """How wide a record of these aggregates is, and where each lies: totals, heads, then the rings by (hop, B)."""
    kept = {a.name: a for a in aggregates}
    totals = {s: i for i, s in enumerate(dict.fromkeys(map(series_of, kept.values())))}
    rings: dict[tuple[int, int], list[Aggregate]] = {}
    for a in kept.values():
        if a.hop:
            rings.setdefault((a.hop, a.buckets), []).append(a)
    place, made, head = len(totals) + sum(map(len, rings.values())), dict[str, Ring](), len(totals)
    for (hop, buckets), members in rings.items():
        for i, a in enumerate(members):
            made[a.name] = Ring(hop, buckets, head, place + i, len(members))
            head += 1
        place += buckets * len(members)
    return place, {n: Cells(table, _op(a), totals[series_of(a)], made.get(n)) for n, a in kept.items()}


def _op(a: Aggregate) -> Literal["sum", "max"]:
    return "max" if a.kind == "max" else "sum"


class Reading:
    """One look-up of aggregates of one record, compiled.

    Args:
        cells: where they lie.
    """

    def __init__(self, cells: Sequence[Cells]):
        parts: list[list[tuple[int, Cells]]] = [[], [], [], []]
        for i, c in enumerate(cells):
            parts[2 * (c.op == "max") + (c.ring is None)].append((i, c))
        self.order = [i for part in parts for i, _ in part]
        self._sizes = [len(part) for part in parts]
        sums, plain, tops, best = ([c for _, c in part] for part in parts)
        rings = [c.ring for c in [*sums, *tops] if c.ring is not None]
        totals = list(dict.fromkeys(c.total for c in [*sums, *plain, *best]))  # windows of one series share theirs
        self._total = _ints(totals.index(c.total) for c in [*sums, *plain, *best])
        self._fixed = _ints([*totals, *(r.head for r in rings)])[:, None]
        self._hop, self._buckets = _column(r.hop for r in rings), _column(r.buckets for r in rings)
        self._base, self._stride = _column(r.base for r in rings), _column(r.stride for r in rings)

    def read(self, sheet: Sheet, rows: Ints, at: Ints) -> Ints:
        """What the windows come to.

        Args:
            sheet: the records.
            rows: int64 [n].
            at: moments, int64 [1 or n].

        Returns:
            int64 [a, n], in the order of `order`.
        """
        now = at // self._hop + _BIAS
        places = self._base + now % self._buckets * self._stride
        fixed = self._fixed if len(at) == 1 else np.broadcast_to(self._fixed, (len(self._fixed), len(at)))
        return self._joined(sheet.columns(rows, np.concatenate([fixed, places])), now - self._buckets)

    def counting(self, sheet: Sheet, rows: Ints, at: int) -> NDArray[np.bool_]:
        """Whether anything in each row counts, or may count again, at a moment; bool [n]."""
        cells, rings = sheet.columns(rows, self._fixed), len(self._hop)
        alive = cells[len(cells) - rings :] > at // self._hop + _BIAS - self._buckets
        forever = cells[self._total[self._sizes[0] :]] != 0
        answer: NDArray[np.bool_] = forever.any(axis=0) | alive.any(axis=0)
        return answer

    def _joined(self, cells: Ints, left: Ints) -> Ints:
        """From totals, heads and ring cells [p, n], and the hops that have just left the windows [r, 1 or n]."""
        s, p, m, _ = self._sizes
        rings = len(self._hop)
        heads, ring = cells[len(cells) - 2 * rings : len(cells) - rings], cells[len(cells) - rings :]
        alive, totals = heads > left, cells[self._total]
        out = np.empty((len(self.order), cells.shape[1]), np.int64)
        np.subtract(totals[:s], ring[:s], out=out[:s])
        out[:s] *= alive[:s]
        out[s : s + p] = totals[s : s + p]
        if len(out) > s + p:
            np.multiply(ring[s:], alive[s:], out=out[s + p : s + p + m])
            out[s + p + m :] = totals[s + p :]
            out[s + p :] ^= NEVER
        return out


def _column(values: Iterable[int]) -> Ints:
    return _ints(values)[:, None]


def _ints(values: Iterable[int]) -> Ints:
    return np.array(list(values), np.int64)


class Series:
    """Works out the writes of one series.

    Args:
        sheet: the records.
        op: how values come together.
        total: place of the total.
        rings: its windows.
    """

    def __init__(self, sheet: SharedSheet, cells: Sequence[Cells]):
        self._sheet, self._op, self._total = sheet, cells[0].op, cells[0].total
        self._rings = [c.ring for c in cells if c.ring is not None]

    def prepare(self, group: Grouped, values: Ints | None) -> Iterator[Write]:
        """The writes.

        Args:
            group: the events, at least one.
            values: what each adds, or is; int64 [e] in the group's order; None for ones.
        """
        old = self._sheet.cell(group.row, self._total)
        yield self._sheet.write(group.row, self._total, self._together(group, old, values))
        for ring in self._rings:
            yield from self._turned(ring, group, old, values)

    def _together(self, group: Grouped, old: Ints, values: Ints | None) -> Ints:
        if self._op == "max":
            return _signed(np.maximum(_unsigned(old), _best(values, group.first)))
        return old + (group.counts if values is None else np.add.reduceat(values, group.first))

    def _turned(self, ring: Ring, group: Grouped, old: Ints, values: Ints | None) -> Iterator[Write]:
        """The writes of one window. Nearly all rows of a sum need none, or just a head."""
        head = self._sheet.cell(group.row, ring.head)
        newest, oldest = group.newest // ring.hop + _BIAS, group.oldest // ring.hop + _BIAS
        if self._op == "sum":
            fresh = np.flatnonzero((head == 0) & (newest == oldest))  # nothing before: all cells stay 0
            moved = np.flatnonzero(((newest != head) | (oldest != head)) & ((head != 0) | (newest != oldest)))
            if len(fresh):
                yield self._sheet.write(group.row[fresh], ring.head, newest[fresh])
        else:
            moved = np.arange(len(group.row))
        size = max(_BLOCK // ring.buckets, 1)
        for part in (moved[i : i + size] for i in range(0, len(moved), size)):
            of, events = group.within(part)
            move = Move(ring, group.row[part], old[part], head[part], np.maximum(head[part], newest[part]))
            step = group.at[events] // ring.hop + _BIAS - move.head[of] + ring.buckets
            some = None if values is None else values[events]
            cells = moved_cells(self._op, self._sheet, move, of=of, step=step, values=some)
            yield self._sheet.write(move.row, move.places, cells)
            yield self._sheet.write(move.row, ring.head, move.head)


class Move:
    """Rows of a ring whose head moves, or that get events older than it.

    Args:
        ring: the ring.
        row: int64 [r].
        total: their totals before, int64 [r].
        old: their heads before, int64 [r].
        head: their heads after, int64 [r].
    """

    def __init__(self, ring: Ring, row: Ints, total: Ints, old: Ints, head: Ints):
        self.row, self.total, self.old, self.head, size = row, total, old, head, ring.buckets
        steps = np.arange(size)
        place = (head % size)[:, None] + steps  # of hops head - B .. head - 1
        place -= size * (place >= size)
        self.places: Ints = ring.base + place * ring.stride
        self.kept: NDArray[np.bool_] = steps < (old - head)[:, None] + size  # hops that had ended before


def moved_cells(op: str, sheet: SharedSheet, move: Move, *, of: Ints, step: Ints, values: Ints | None) -> Ints:
    """The cells of moved rows, int64 [r, B], oldest hop first.

    Args:
        op: `sum` or `max`.
        sheet: the records.
        move: the rows.
        of: the row in `move` of each event, int64 [e].
        step: the hop of each event, counted so that the head is B; 0 and less have left the window.
        values: what each event adds, or is; None for ones.
    """
    held = sheet.cells(move.row, move.places)
    if op == "max":
        late = step >= 1
        news = np.zeros(held.shape, np.uint64)
        np.maximum.at(news.reshape(-1), of[late] * held.shape[1] + step[late] - 1, _lifted(values)[late])
        news = np.maximum.accumulate(news[:, ::-1], axis=1)[:, ::-1]
        return _signed(np.maximum(np.where(move.kept, _unsigned(held), _NOTHING), news))
    width = held.shape[1] + 1
    index, shape = of * width + np.maximum(step, 0), (len(held), width)
    added = np.zeros(shape, np.int64)
    np.add.at(added.reshape(-1), index, 1 if values is None else values)
    cells: Ints = np.where(move.kept, held, move.total[:, None]) + np.cumsum(added, axis=1)[:, :-1]
    return cells


def _unsigned(cells: Ints) -> NDArray[np.uint64]:
    return np.ascontiguousarray(cells).view(np.uint64)


def _signed(cells: NDArray[np.uint64]) -> Ints:
    return np.ascontiguousarray(cells).view(np.int64)


def _lifted(values: Ints | None) -> NDArray[np.uint64]:
    """Values as they are held: in the same order as unsigned numbers, from 1."""
    return _unsigned((np.zeros(0, np.int64) if values is None else values) ^ NEVER)


def _best(values: Ints | None, first: Ints) -> NDArray[np.uint64]:
    best: NDArray[np.uint64] = np.maximum.reduceat(_lifted(values), first)
    return best
