"""Which cells lie where in Redis: a rack is what is kept together of each row, or of each pair of rows.

The columns of a table share one rack; a record and a list have each their own. A row's line is a string under a key
of its own. The lines of pairs with one first row lie in one hash under it: a request asks for one user and many items,
and most of these pairs are not there, which a small table knows sooner than that of all keys.

The cells of a line are held in an order that puts likely equals side by side: the moments at which columns became
known, the cells of one window.
"""

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from winnow.features.batch import Ints
from winnow.features.live.layout import Entry, pair_name

Bytes = NDArray[np.uint8]
_COLUMN = "column:"


class Rack:
    """Sheets whose cells lie under one key.

    Args:
        entries: the sheets, by name; of one record, of one list, or of the columns of one table.
        pairs: whether rows are pairs, `packed` as `first << 32 | second`, rather than row numbers.
    """

    def __init__(self, entries: Mapping[str, Entry], *, pairs: bool):
        self.sheets, self.pairs = list(entries), pairs
        self._entries = list(entries.values())
        self.code = min(int(e["file"]) for e in self._entries)
        self.subject: str = _subject(self.sheets[0], self._entries[0])
        self.form: str = self._entries[0]["form"]
        self.cap: int = self._entries[0]["cap"]
        self.widths = [int(e["width"]) for e in self._entries]
        self.width = sum(self.widths)
        starts = np.cumsum([0, *self.widths])
        self.order = _order(self.form, self._entries[0], starts[:-1], self.width)
        self.place: Ints = np.argsort(self.order)  # where each cell of the sheets is held
        self.starts = dict(zip(self.sheets, starts.tolist(), strict=False))

    @cached_property
    def lasts_us(self) -> int:
        """How long after the newest event anything in a line can count; 0 for ever."""
        rings = [cells[2:4] for e in self._entries for cells in e.get("cells", {}).values()]
        if not rings or not all(rings):
            return 0
        return max(int(hop) * (int(buckets) + 1) for hop, buckets in rings)

    def keys(self, prefix: bytes, rows: Ints) -> Bytes:
        """The keys of row numbers, or of the first ones of pairs, uint8 [n, length]."""
        start = np.frombuffer(prefix + self.code.to_bytes(2, "big"), np.uint8)
        keys = np.empty((len(rows), len(start) + 4), np.uint8)
        keys[:, : len(start)], keys[:, len(start) :] = start, number_bytes(rows)
        return keys


def number_bytes(rows: Ints) -> Bytes:
    """Row numbers as they are held, uint8 [n, 4]."""
    return rows.astype(">i4")[:, None].view(np.uint8)


def apart(pairs: Ints) -> tuple[Ints, Ints]:
    """The first and the second of packed pairs, each one more than the row number."""
    return pairs >> 32, pairs & 0xFFFFFFFF


def racks(entries: Mapping[str, Entry]) -> list[Rack]:
    """The racks of a layout."""
    tables: dict[str, dict[str, Entry]] = {}
    for name, entry in entries.items():
        if entry["form"] == "column":
            tables.setdefault(_subject(name, entry), {})[name] = entry
        elif entry["form"] in ("record", "lists"):
            tables[name] = {name: entry}
    return [Rack(kept, pairs=pair_name(_any(kept).get("subject", "")) in entries) for kept in tables.values()]


def _any(entries: Mapping[str, Entry]) -> Entry:
    return next(iter(entries.values()))


def _subject(name: str, entry: Entry) -> str:
    """What rows stand for: key paths, or a table."""
    if entry["form"] == "column":
        return name.removeprefix(_COLUMN).rpartition(".")[0]
    return str(entry["subject"])


def _order(form: str, entry: Entry, starts: Ints, width: int) -> Ints:
    """Places in the order in which they are held."""
    if form == "column":
        return _first(starts.tolist(), width)  # the first cell of a column says when its value became known
    if form == "record":
        return _first(_windows(entry["cells"].values()), width)
    return np.arange(width)


def _windows(cells: Iterable[list[Any]]) -> list[int]:
    """The heads, then each total with its rings, each cell by cell."""
    heads, totals = [], dict[int, list[int]]()
    for _, total, *ring in cells:
        around = totals.setdefault(total, [total])
        if ring:
            _, buckets, head, base, stride = ring
            heads.append(head)
            around += range(base, base + buckets * stride, stride)
    return [*sorted(heads), *(place for around in totals.values() for place in around)]


def _first(places: list[int], width: int) -> Ints:
    """These places, then all others."""
    return np.array(list(dict.fromkeys([*places, *range(width)])), np.int64)
