"""What has changed in the live tables, as lines to be sent: where each rack of the copy comes from."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress

import numpy as np

from winnow.features.batch import Ints
from winnow.features.live.layout import pair_name
from winnow.features.live.pairs import packed
from winnow.features.live.tables import Tables
from winnow.features.remote.lines import encoded
from winnow.features.remote.racks import Bytes, Rack, apart, number_bytes, racks

_SLACK_MS = 3_600_000  # that lines are kept longer than they count
Rows = Mapping[str, Ints]  # sheet, or index of pairs → rows that have changed


Fields = dict[bytes, dict[bytes, bytes]]


@dataclass
class Batch:
    """Changes of the copy.

    Args:
        gone: keys of lines that are no more.
        lines: key → line.
        left: key of a hash → fields of pairs that are no more.
        pairs: key of a hash → field → line.
        passing: key → milliseconds after which what lies there may be forgotten.
        rows: code of a rack → the row numbers that change.
    """

    gone: list[bytes] = field(default_factory=list)
    lines: dict[bytes, bytes] = field(default_factory=dict)
    left: dict[bytes, list[bytes]] = field(default_factory=dict)
    pairs: Fields = field(default_factory=dict)
    passing: dict[bytes, int] = field(default_factory=dict)
    rows: dict[int, Ints] = field(default_factory=dict)


class Source:
    """The live tables as lines.

    Args:
        tables: the tables.
        prefix: of the keys.
    """

    def __init__(self, tables: Tables, prefix: bytes):
        self._tables, self._prefix = tables, prefix
        self.racks = racks(tables.entries)
        self._held: dict[str, Ints] = {}  # subject → the pair, packed, that each slot stands for in the copy

    def walk(self, cells: int) -> Iterator[dict[str, Ints]]:
        """All that is kept, some rows at a time: so many that they have about this number of cells."""
        for group in self._groups():
            used, rows = self._used(group[0]), max(cells // sum(rack.width for rack in group), 1)
            for start in range(0, len(used), rows):
                yield {name: used[start : start + rows] for rack in group for name in rack.sheets}

    def resume(self) -> None:
        """Takes the copy to hold all pairs that the tables hold."""
        for name, index in self._tables.indexes().items():
            if name.startswith(pair_name("")):
                slots = index.slots()
                self._slots_held(name.removeprefix(pair_name("")))[slots] = packed(*index.pairs(slots))

    def batch(self, rows: Rows, *, passing: bool) -> Batch:
        """The lines of changed rows as they stand.

        Args:
            rows: those that have changed.
            passing: whether lines may be forgotten once nothing in them can count any more.
        """
        made = Batch()
        for group in self._groups():
            changed = [rows[name] for rack in group for name in rack.sheets if name in rows]
            pairs = pair_name(group[0].subject)
            changed += [rows[pairs]] if group[0].pairs and pairs in rows else []
            if changed:
                where = np.unique(np.concatenate(changed))
                self._add(made, group, where, passing=passing)
        return made

    def _groups(self) -> list[list[Rack]]:
        """The racks of each subject, single keys apart: pairs come and go for all that is kept by them."""
        groups: dict[str, list[Rack]] = {}
        for rack in self.racks:
            groups.setdefault(rack.subject if rack.pairs else f"{rack.code}", []).append(rack)
        return list(groups.values())

    def _add(self, made: Batch, group: Sequence[Rack], where: Ints, *, passing: bool) -> None:
        if not group[0].pairs:
            self._rows(made, group[0], where, passing=passing)
            return
        held = self._slots_held(group[0].subject)
        was, now = held[where], packed(*self._tables.pairs(group[0].subject).pairs(where))
        held[where] = now
        for rack in group:
            self._gone(made, rack, was[(was != now) & (was != 0)])
            self._pairs(made, rack, (where[now != 0], now[now != 0]), passing=passing)

    def _rows(self, made: Batch, rack: Rack, rows: Ints, *, passing: bool) -> None:
        cells, made.rows[rack.code] = self._cells(rack, rows), rows
        keys, something = _cut(rack.keys(self._prefix, rows)), np.asarray(cells.any(axis=1))
        made.gone += compress(keys, ~something)
        kept = list(compress(keys, something))
        made.lines.update(zip(kept, encoded(cells[something]), strict=True))
        if passing and rack.lasts_us:
            made.passing.update(dict.fromkeys(kept, rack.lasts_us // 1000 + _SLACK_MS))

    def _pairs(self, made: Batch, rack: Rack, rows: tuple[Ints, Ints], *, passing: bool) -> None:
        first, second = apart(rows[1])
        keys, fields = _cut(rack.keys(self._prefix, first)), _cut(number_bytes(second))
        for key, name, line in zip(keys, fields, encoded(self._cells(rack, rows[0])), strict=True):
            made.pairs.setdefault(key, {})[name] = line
        if passing and rack.lasts_us:
            made.passing.update(dict.fromkeys(keys, rack.lasts_us // 1000 + _SLACK_MS))

    def _gone(self, made: Batch, rack: Rack, pairs: Ints) -> None:
        first, second = apart(pairs)
        for key, name in zip(_cut(rack.keys(self._prefix, first)), _cut(number_bytes(second)), strict=True):
            made.left.setdefault(key, []).append(name)

    def _cells(self, rack: Rack, rows: Ints) -> Ints:
        sheets = [self._tables.shared(name).lines(rows) for name in rack.sheets]
        return (sheets[0] if len(sheets) == 1 else np.concatenate(sheets, axis=1))[:, rack.order]

    def _used(self, rack: Rack) -> Ints:
        if rack.pairs:
            return self._tables.pairs(rack.subject).slots()
        return np.arange(max(self._tables.used(name) for name in rack.sheets))

    def _slots_held(self, subject: str) -> Ints:
        if subject not in self._held:
            self._held[subject] = np.zeros(self._tables.pairs(subject).cap, np.int64)
        return self._held[subject]


def _cut(keys: Bytes) -> list[bytes]:
    """One object per key."""
    data, width = keys.tobytes(), keys.shape[1]
    return [data[i : i + width] for i in range(0, len(data), width)]
