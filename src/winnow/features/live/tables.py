"""The tables of one generation: one file each, described in a layout file that readers follow.

Everything that readers need of `record`, `lists` and `column` goes through `files.Sheet`, and every change comes as
`files.Write`, which names sheet and rows. Whoever keeps a copy elsewhere listens to `LiveWriter.listeners`, reads the
changed rows with `Tables.sheet(name).lines(rows)` (pairs: `Tables.index(name).pairs(slots)`), and reads the copy
with a `Tables` whose `sheet` and `pairs` answer from there: `LiveState` does not know the difference.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from winnow.core.declare import canonical
from winnow.core.errors import Problem, Unavailable
from winnow.data.schema import Kind, Table
from winnow.features.aggregate import Aggregate
from winnow.features.batch import Ints
from winnow.features.live.columns import ColumnTable
from winnow.features.live.files import Header, SharedSheet, Sheet
from winnow.features.live.layout import INDEXES, Entry, column_name, pair_name
from winnow.features.live.lists import Lists
from winnow.features.live.pairs import PairIndex
from winnow.features.live.records import Cells, Reading
from winnow.features.state import NEVER

_LAYOUT = "layout.json"
_SCRATCH = "scratch-"


class Tables:
    """The tables of one generation. Readers and the writer open the same memory.

    Args:
        folder: the generation's folder.
        entries: the tables; None for those of its layout file.
    """

    def __init__(self, folder: Path, entries: Mapping[str, Entry] | None = None):
        self.folder = folder
        self.header = Header(folder / "header")
        self.entries: dict[str, Entry] = dict(entries or {})
        self._open: dict[str, Any] = {}
        self._read: dict[tuple[str, ...], list[tuple[str, list[int], Reading]]] = {}
        self._layout = -1
        if entries is None:
            self.reload()

    # What readers ask -----------------------------------------------------------------------------------------------

    def sheet(self, name: str) -> Sheet:
        """The lines of a `record`, `lists` or `column` table, by its name."""
        return self.shared(name)

    def pairs(self, subject: str) -> PairIndex:
        """The index of a pair of keys."""
        return self.index(pair_name(subject))

    def readings(self, aggregates: Sequence[Aggregate]) -> list[tuple[str, list[int], Reading]]:
        """How to look up aggregates of one subject: per record its name, which of them it holds, and the look-up."""
        wanted = tuple(a.name for a in aggregates)
        if wanted not in self._read:
            self._read[wanted] = self._compiled(wanted)
        return self._read[wanted]

    def lists(self, aggregate: Aggregate) -> Lists:
        """The table of a `recent` aggregate."""
        entry = self.entry(aggregate.name)
        empty = NEVER if entry["number"] else -1
        return Lists(self.sheet(aggregate.name), k=entry["k"], values=entry["values"], empty=empty)

    def column(self, table: Table, column: str) -> ColumnTable:
        """A column of a table."""
        name = column_name(table, column)
        return ColumnTable(self.sheet(name), Kind(self.entry(name)["storage"]))

    def entry(self, name: str) -> Entry:
        """What the layout says of a table.

        Raises:
            Unavailable: `feature-not-live`.
        """
        if name not in self.entries:
            self.reload()  # the writer may have added it since
        if name not in self.entries:
            raise _missing(name)
        return self.entries[name]

    def reload(self) -> None:
        """Sees what the writer has changed in the layout since."""
        path, self._layout = self.folder / _LAYOUT, self.header.layout
        if path.exists():
            now: dict[str, Entry] = json.loads(path.read_text())
            for name in [n for n in self._open if n in now and now[n]["file"] != self.entries[n]["file"]]:
                del self._open[name]
            self.entries = now
            self._read.clear()

    def follow(self) -> "Tables":
        """Itself, as the layout stands now."""
        if self._layout != self.header.layout:
            self.reload()
        return self

    @property
    def aggregates(self) -> dict[str, Cells | None]:
        """The aggregates that are kept, by name; where the windowed ones lie."""
        kept: dict[str, Cells | None] = {n: None for n, e in self.entries.items() if e["form"] == "lists"}
        for name, entry in self.entries.items():
            kept |= {a: Cells.of(name, data) for a, data in entry.get("cells", {}).items()}
        return kept

    def _compiled(self, wanted: tuple[str, ...]) -> list[tuple[str, list[int], Reading]]:
        kept = self.aggregates
        if not kept.keys() >= set(wanted):
            self.reload()
            kept = self.aggregates
        found: dict[str, list[tuple[int, Cells]]] = {}
        for i, name in enumerate(wanted):
            cells = kept.get(name)
            if cells is None:
                raise _missing(name)
            found.setdefault(cells.table, []).append((i, cells))
        made = []
        for table, members in found.items():
            reading = Reading([c for _, c in members])
            made.append((table, [members[i][0] for i in reading.order], reading))
        return made

    # What the writer asks -------------------------------------------------------------------------------------------

    def shared(self, name: str) -> SharedSheet:
        """As `sheet`, to be written to."""
        if name not in self._open:
            entry = self.entry(name)
            self._open[name] = SharedSheet(self._path(entry), entry["cap"], entry["width"], name=name)
        return self._open[name]  # type: ignore[no-any-return]

    def index(self, name: str) -> PairIndex:
        """A `pairs` or `distinct` table."""
        if name not in self._open:
            entry = self.entry(name)
            self._open[name] = PairIndex(self._path(entry), entry["cap"], name=name)
        return self._open[name]  # type: ignore[no-any-return]

    def indexes(self) -> dict[str, PairIndex]:
        """All `pairs` and `distinct` tables."""
        return {name: self.index(name) for name, e in self.entries.items() if e["form"] in INDEXES}

    def of_subject(self, subject: str, form: str) -> list[str]:
        """The names of the tables of a form that are kept by these keys."""
        return [n for n, e in self.entries.items() if e["form"] == form and e.get("subject") == subject]

    @property
    def sheets(self) -> int:
        """How many records any subject has at most."""
        records = [name for name, e in self.entries.items() if e["form"] == "record"]
        return 1 + max(int(name.partition("#")[2] or 0) for name in records) if records else 0

    def numbered(self, entries: Mapping[str, Entry]) -> dict[str, Entry]:
        """New tables with the numbers of their files; what lay there unfinished is removed."""
        first = 1 + max((self.number(n) for n in self.entries), default=-1)
        new = {name: entry | {"file": f"{first + i:04}"} for i, (name, entry) in enumerate(entries.items())}
        for entry in new.values():
            _remove(self.folder, entry["file"])
            self.header.counters(int(entry["file"]))[:] = 0
        return new

    def add(self, entries: Mapping[str, Entry]) -> None:
        """Makes numbered tables known to readers."""
        self._write({**self.entries, **entries})

    def forget(self, aggregates: Iterable[str]) -> None:
        """Lets go of aggregates that nobody keeps up to date any more."""
        gone = set(aggregates)
        if not gone:
            return
        kept = {n: e for n, e in self.entries.items() if n not in gone}
        for name, entry in kept.items():
            if "cells" in entry:
                kept[name] = entry | {"cells": {a: c for a, c in entry["cells"].items() if a not in gone}}
        self._write(kept)

    def beside(self, fresh: Mapping[str, Entry], columns: Mapping[str, Entry]) -> "Tables":
        """New tables to be filled from the log, with table columns of their own as they stood then."""
        pairs = {name: entry for name, entry in self.entries.items() if entry["form"] == "pairs"}
        scratch = {n: e | {"file": f"{_SCRATCH}{i:04}"} for i, (n, e) in enumerate(columns.items())}
        _remove(self.folder, _SCRATCH)
        made = Tables(self.folder, pairs | scratch | self.numbered(fresh))
        made._open |= {name: self.index(name) for name in pairs}  # which slots are free is known to one of them only
        return made

    def adopt(self, beside: "Tables", names: Iterable[str]) -> None:
        """Makes tables that were filled beside known to readers."""
        made = {name: beside.entries[name] for name in names}
        self._open |= {name: beside._open[name] for name in made if name in beside._open}
        self.add(made)
        _remove(self.folder, _SCRATCH)

    def counters(self, name: str) -> Ints:
        """The counters of a table: see `Header.counters`."""
        return self.header.counters(self.number(name))

    def number(self, name: str) -> int:
        """The number of a table's file."""
        return int(self.entries[name]["file"])

    def used(self, name: str) -> int:
        """How many rows or pairs of a table are in use; of row numbers the highest counts."""
        entry = self.entries[name]
        if entry["form"] in INDEXES:
            return self.index(name).used
        pairs = pair_name(entry.get("subject", ""))
        return self.index(pairs).used if pairs in self.entries else int(self.counters(name)[2])

    def bytes(self, name: str) -> int:
        """Memory that a table really takes up."""
        path = self._path(self.entries[name])
        return path.stat().st_blocks * 512 if path.exists() else 0

    def _path(self, entry: Entry) -> Path:
        return self.folder / f"{entry['file']}.{entry['form']}"

    def _write(self, entries: Mapping[str, Entry]) -> None:
        self.entries = dict(entries)
        beside = self.folder / f"{_LAYOUT}.new"
        beside.write_text(canonical(self.entries))
        beside.replace(self.folder / _LAYOUT)
        self.header.layout += 1
        self._layout = self.header.layout
        self._read.clear()


def _missing(name: str) -> Unavailable:
    why, fix = "the live tables do not keep it yet", "let the ingester build it"
    return Unavailable(Problem("feature-not-live", f"no live table `{name}`", why=why, fix=fix))


def _remove(folder: Path, prefix: str) -> None:
    for path in folder.glob(f"{prefix}*"):
        path.unlink()
