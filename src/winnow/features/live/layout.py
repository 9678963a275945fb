"""Which tables a live folder holds: one file each, described in a layout file that readers follow."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from winnow.core.declare import canonical
from winnow.core.errors import Problem, Unavailable
from winnow.data.schema import Kind, Table
from winnow.data.schema import Path as KeyPath
from winnow.features.aggregate import Aggregate
from winnow.features.live.files import Header
from winnow.features.live.pairs import PairIndex
from winnow.features.live.tables import ColumnTable, Lists, Ring, Totals

_LAYOUT = "layout.json"
_SCRATCH = "scratch-"
Entry = dict[str, Any]


@dataclass(frozen=True)
class Caps:
    """How large tables may grow. Files are sparse: a cap costs address space, only what is used costs memory.

    Args:
        rows: rows per domain (a table, or a category column) that `domains` does not name.
        pairs: pairs per pair of keys.
        domains: domain → rows.
    """

    rows: int = 1 << 20
    pairs: int = 1 << 20
    domains: Mapping[str, int] = field(default_factory=dict)

    def entries(self, aggregates: Iterable[Aggregate], tables: Iterable[Table]) -> dict[str, Entry]:
        """The tables that these aggregates and table columns need, by name."""
        needed: dict[str, Entry] = {}
        for aggregate in aggregates:
            cap = self.pairs if len(aggregate.by) > 1 else self._cap(aggregate.by[0].domain)
            if len(aggregate.by) > 1:
                needed[pair_name(aggregate.by)] = {"form": "pairs", "cap": cap}
            needed[aggregate.name] = _entry(aggregate) | {"cap": cap}
        for table in tables:
            for column, kind in table.columns.items():
                if kind.storage != "text":
                    entry = {"form": "column", "storage": kind.storage, "cap": self._cap(table.name)}
                    needed[column_name(table, column)] = entry
        return needed

    def _cap(self, domain: str) -> int:
        return self.domains.get(domain, self.rows)


def _entry(aggregate: Aggregate) -> Entry:
    if aggregate.kind == "recent":
        return {"form": "lists", "k": aggregate.k, "values": aggregate.value is not None}
    if not aggregate.hop:
        return {"form": "totals"}
    return {"form": "ring", "hop": aggregate.hop, "buckets": aggregate.buckets}


def pair_name(by: tuple[KeyPath, ...]) -> str:
    """The name of the index of a pair of keys, shared by all aggregates by that pair."""
    return "pairs:" + "*".join(map(str, by))


def column_name(table: Table, column: str) -> str:
    """The name of a column's table."""
    return f"column:{table.name}.{column}"


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
        if entries is None:
            self._load()

    def numbered(self, entries: Mapping[str, Entry]) -> dict[str, Entry]:
        """New tables with the numbers of their files; what lay there unfinished is removed."""
        first = 1 + max((self.number(n) for n in self.entries), default=-1)
        new = {name: entry | {"file": f"{first + i:04}"} for i, (name, entry) in enumerate(entries.items())}
        for entry in new.values():
            _remove(self.folder, entry["file"])
        return new

    def add(self, entries: Mapping[str, Entry]) -> None:
        """Makes numbered tables known to readers."""
        self.entries |= entries
        beside = self.folder / f"{_LAYOUT}.new"
        beside.write_text(canonical(self.entries))
        beside.replace(self.folder / _LAYOUT)

    def beside(self, fresh: Mapping[str, Entry], columns: Mapping[str, Entry]) -> "Tables":
        """New tables to be filled from the log, with table columns of their own as they stood then."""
        pairs = {name: entry for name, entry in self.entries.items() if entry["form"] == "pairs"}
        scratch = {n: e | {"file": f"{_SCRATCH}{i:04}"} for i, (n, e) in enumerate(columns.items())}
        _remove(self.folder, _SCRATCH)
        return Tables(self.folder, pairs | scratch | self.numbered(fresh))

    def drop_scratch(self) -> None:
        """Removes the table columns that only the filling needed."""
        _remove(self.folder, _SCRATCH)

    def number(self, name: str) -> int:
        """The place of a table's counter of refused rows in the header."""
        return int(self.entries[name]["file"])

    def window(self, aggregate: Aggregate) -> Ring | Totals:
        """The table of a `sum` aggregate."""
        return self._table(aggregate.name)  # type: ignore[no-any-return]

    def lists(self, aggregate: Aggregate) -> Lists:
        """The table of a `recent` aggregate."""
        return self._table(aggregate.name)  # type: ignore[no-any-return]

    def pairs(self, by: tuple[KeyPath, ...]) -> PairIndex:
        """The index of a pair of keys."""
        return self._table(pair_name(by))  # type: ignore[no-any-return]

    def column(self, table: Table, column: str) -> ColumnTable:
        """A column of a table."""
        return self._table(column_name(table, column))  # type: ignore[no-any-return]

    def _table(self, name: str) -> Any:
        table = self._open.get(name)
        if table is None:
            table = self._open[name] = self._opened(name)
        return table

    def _opened(self, name: str) -> Any:
        if name not in self.entries:
            self._load()  # the writer may have added it since
        if name not in self.entries:
            why, fix = "the live tables do not keep it yet", "let the ingester build it"
            raise Unavailable(Problem("feature-not-live", f"no live table `{name}`", why=why, fix=fix))
        entry = self.entries[name]
        path, cap = self.folder / f"{entry['file']}.{entry['form']}", entry["cap"]
        match entry["form"]:
            case "pairs":
                return PairIndex(path, cap)
            case "totals":
                return Totals(path, cap)
            case "ring":
                return Ring(path, cap, hop=entry["hop"], buckets=entry["buckets"])
            case "lists":
                return Lists(path, cap, k=entry["k"], values=entry["values"])
            case _:
                return ColumnTable(path, cap, Kind(entry["storage"]))

    def reload(self) -> None:
        """Sees the tables that the writer has added since."""
        self._load()

    def _load(self) -> None:
        path = self.folder / _LAYOUT
        if path.exists():
            self.entries = json.loads(path.read_text())


def _remove(folder: Path, prefix: str) -> None:
    for path in folder.glob(f"{prefix}*"):
        path.unlink()
