"""How much memory the live tables of a system will take for given numbers of users, items and events."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from winnow.core.system import System
from winnow.data.schema import Path, Table
from winnow.features.aggregate import Aggregate
from winnow.features.keys import exploded, field, passing
from winnow.features.live import layout
from winnow.features.live.pairs import PairIndex
from winnow.features.state import SET_WIDTH
from winnow.features.story import keys_of
from winnow.serving.aggregates import needed
from winnow.training.dataset import HistorySource

if TYPE_CHECKING:
    from winnow.project import Project

_PAGE = 4096  # bytes of memory that are taken at a time
SCHEMA = {"table": pl.String, "keys": pl.Int64, "bytes": pl.Int64}


@dataclass(frozen=True)
class Sizes:
    """A prediction.

    Args:
        tables: one row per live table, the largest first: `table, keys, bytes`.
        rows: domain → how many rows were reckoned with.
        pairs: pair of keys → how many pairs.
        measured: whether the project's own history said how many categories and pairs to expect; upper bounds
            otherwise.
    """

    tables: pl.DataFrame
    rows: dict[str, int]
    pairs: dict[str, int]
    measured: bool

    @property
    def bytes(self) -> int:
        """All of it."""
        return int(self.tables["bytes"].sum())


def sizes(project: "Project", system: str, *, users: int, items: int, events: int) -> Sizes:
    """Predicted memory of the live tables of a system.

    Args:
        project: whose history tells how many categories and pairs to expect, where it holds any events.
        system: name of the system.
        users, items: rows of the tables of users and items.
        events: events of all types in the log.

    Raises:
        NotFound: `unknown-system`.
    """
    found = project.system(system)
    project.history.sync(project.log)
    aggregates, tables = needed([found]), _tables(found)
    counted = _Counted(project, found, aggregates)
    caps = project.settings.features
    rows = counted.rows(tables, users=users, items=items, events=events)
    pairs = {subject: min(n, caps.pairs) for subject, n in counted.pairs(rows, events).items()}
    rows = {domain: min(n, caps.rows) for domain, n in rows.items()}
    forms = {name: entry["form"] for name, entry in layout.Caps().entries(aggregates, tables).items()}
    told = [
        (t["table"], t["rows"], _index(t["rows"], caps.pairs) if forms[t["table"]] in layout.INDEXES else t["bytes"])
        for t in layout.size(aggregates, tables, rows=rows, pairs=pairs)
    ]
    frame = pl.DataFrame(told, schema=SCHEMA, orient="row")
    return Sizes(frame.sort("bytes", descending=True), rows, pairs, counted.any)


def _index(pairs: int, cap: int) -> int:
    """Bytes that an index of pairs takes: it is a hash table as large as its cap, and each pair touches some page.

    The second hash table of the file is used once the first is full and old pairs have made room.
    """
    head, table = 8 + 2 * pairs, (PairIndex.cells(cap) - 8 - 2 * cap) // 2
    pages = table * 8 / _PAGE
    touched = pages * -np.expm1(-pairs / pages) * (2 if pairs >= cap else 1)
    return 8 * head + int(touched) * _PAGE


def _tables(system: System) -> list[Table]:
    return [part for part in system.parts() if isinstance(part, Table)]


class _Counted:
    """What the history of a project says about how many keys there are."""

    def __init__(self, project: "Project", system: System, aggregates: Iterable[Aggregate]):
        self._ids, self._labels, self._aggregates = project.log.ids, system.labels, list(aggregates)
        self._source = HistorySource(project.history)
        types = {a.events.name for a in self._aggregates}
        self._events = sum(len(self._source.events(t)["seq"]) for t in types)

    @property
    def any(self) -> bool:
        return self._events > 0

    def rows(self, tables: Iterable[Table], *, users: int, items: int, events: int) -> dict[str, int]:
        """Domain → rows: of tables as given, of categories as many per row of their table as there are by now."""
        given = {self._labels.user.name: users, self._labels.item.name: items}
        found = {t.name: given.get(t.name, self._share(t.name, None) * events) for t in tables}
        for path in (p for a in self._aggregates for p in a.by if p.columns):
            owner = Path(path.table, path.columns[:-1])
            name = (owner.kind.table or owner.table).name
            most = SET_WIDTH if path.kind.storage == "categories" else 1
            found.setdefault(path.domain, min(self._share(path.domain, name), most) * found[name])
        return {domain: int(np.ceil(count)) for domain, count in found.items()}

    def _share(self, domain: str, owner: str | None) -> float:
        """Ids of a domain per row of a table, or per event; as many as can be where nothing is known."""
        size, of = self._ids.size(domain), self._ids.size(owner) if owner else self._events
        return size / of if size and of else float(SET_WIDTH if owner else 1)

    def pairs(self, rows: dict[str, int], events: int) -> dict[str, int]:
        """Pair of keys → pairs: as many per event as there are by now, never more than both sides allow.

        The name of a single key stands for its pairs with the values that a distinct count tells apart.
        """
        found = {}
        wanted = [a for a in self._aggregates if len(a.by) > 1 or a.kind == "distinct"]
        for subject in dict.fromkeys(a.subject for a in wanted):
            group = [a for a in wanted if a.subject == subject]
            share = self._met(group) / self._events if self._events else float(SET_WIDTH if _sets(group[0].by) else 1)
            most = int(np.prod([float(rows[p.domain]) for p in group[0].by])) if len(group[0].by) > 1 else events
            found[subject] = min(int(np.ceil(share * events)), most)
        return found

    def _met(self, group: list[Aggregate]) -> int:
        """How many different pairs the history holds; of distinct counts by one key, pairs of key and value."""
        parts = [np.empty(0, np.int64)]
        for a in {(a.events.name, a.value if len(a.by) == 1 else "", str(a.conditions)): a for a in group}.values():
            columns = self._source.events(a.events.name)
            keys = keys_of(a.events, a.by, self._source)
            event, (first, second) = exploded(
                keys if len(keys) > 1 else [*keys, field(a.events, columns, str(a.value))]
            )
            kept = passing(a.events, columns, a.conditions)[event]
            parts.append(np.unique((first[kept] << 32) | second[kept]))
        return len(np.unique(np.concatenate(parts)))


def _sets(by: Iterable[Path]) -> int:
    return sum(p.kind.storage == "categories" for p in by)
