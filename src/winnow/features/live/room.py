"""Making room in full tables of pairs: the pairs whose last event is oldest go, at once for readers."""

import threading
from collections.abc import Callable, Collection, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from winnow.features.batch import Ints
from winnow.features.live.files import SharedSheet, Write
from winnow.features.live.layout import pair_name
from winnow.features.live.pairs import PairIndex, oldest
from winnow.features.live.records import Cells, Reading
from winnow.features.live.tables import Tables

_BLOCK = 1 << 16  # pairs looked at together


class Room:
    """Makes room.

    Args:
        tables: those in use and those being filled beside.
        publish: makes writes visible all at once, and counts the pairs that went from a table.
        only: the tables that room may be made in; None for all.
    """

    def __init__(
        self,
        tables: Callable[[], Sequence[Tables]],
        publish: Callable[[list[Write], str, int], None],
        *,
        only: Collection[str] | None = None,
    ):
        self._tables, self._publish, self._only = tables, publish, only
        self._turn = threading.Lock()

    def make(self, name: str, count: int, *, busy: Ints) -> None:
        """Evicts pairs.

        Args:
            name: the full table.
            count: how many must fit.
            busy: slots that must stay.
        """
        if self._only is None or name in self._only:
            with self._turn:  # subjects are worked on side by side
                self._evict(name, count, busy)

    def _evict(self, name: str, count: int, busy: Ints) -> None:
        index = next(t for t in self._tables() if name in t.entries).index(name)
        useless = self._useless(name, index.slots())
        victims = oldest(index, count, useless=useless, busy=busy)
        gone = [(index, victims), *self._nested(name, victims)]
        writes = [w for one, slots in gone for w in one.without(slots)]
        self._publish(writes + [sheet.clear(victims) for sheet in self._sheets(name)], name, len(victims))
        for one, slots in gone:
            one.give_back(slots)

    def _sheets(self, name: str, *forms: str) -> list[SharedSheet]:
        """What is kept by the pairs of an index."""
        subject = _subject(name)
        found = [(t, n) for t in self._tables() for form in forms or ("record", "lists")
                 for n in t.of_subject(subject, form)]  # fmt: skip
        return [tables.shared(n) for tables, n in found]

    def _nested(self, name: str, victims: Ints) -> Iterator[tuple[PairIndex, Ints]]:
        """What the tables of distinct values hold of pairs that go."""
        gone = np.zeros(int(victims.max(initial=-1)) + 2, bool)
        gone[victims] = True
        for tables in self._tables():
            for nested in tables.of_subject(_subject(name), "distinct"):
                index = tables.index(nested)
                slots = index.slots()
                yield index, slots[gone.take(index.pairs(slots)[0], mode="clip")]

    def _useless(self, name: str, slots: Ints) -> NDArray[np.bool_]:
        """Of which slots nothing can count any more; none when it is not an index of keys."""
        useless = np.zeros(len(slots), bool)
        if not _subject(name):
            return useless
        watermark, lists = self._tables()[0].header.watermark, self._sheets(name, "lists")
        records = [(t.shared(n), Reading([Cells.of(n, c) for c in t.entries[n]["cells"].values()]))
                   for t in self._tables() for n in t.of_subject(_subject(name), "record")]  # fmt: skip
        for start in range(0, len(slots), _BLOCK):
            part = slots[start : start + _BLOCK]
            counting = [reading.counting(sheet, part, watermark) for sheet, reading in records]
            counting += [sheet.cell(part, 0) != 0 for sheet in lists]
            useless[start : start + _BLOCK] = ~np.logical_or.reduce([np.zeros(len(part), bool), *counting])
        return useless


def _subject(name: str) -> str:
    """The subject of an index of keys; empty for a table of distinct values, which no record lies by."""
    start = pair_name("")
    return name.removeprefix(start) if name.startswith(start) else ""
