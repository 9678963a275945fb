"""Ids become row numbers once, at the edge: domain → ids numbered 0, 1, 2, ... in order of first appearance."""

import sqlite3
from collections.abc import Iterable, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from winnow.data.database import Database

CACHED = 1_000_000  # ids held in memory by one process, about 150 bytes each


class IdMap:
    """The ids of every domain and their row numbers.

    A pair never changes once committed, so what a process has seen it may remember.

    Args:
        database: where the ids are.
        cached: how many ids a process remembers at most, over all domains.
    """

    def __init__(self, database: Database, *, cached: int = CACHED) -> None:
        self._database = database
        self._limit = cached
        self._rows: dict[str, dict[str, int]] = {}
        self._ids: dict[str, dict[int, str]] = {}
        self._count = 0

    def rows(self, domain: str, ids: Sequence[str], *, create: bool = False) -> NDArray[np.int64]:
        """The row numbers of ids, int64 [n]; -1 where unknown, or new ones with `create`."""
        if create:
            fresh = NewIds(self)
            with self._database.write() as connection:
                rows = fresh.rows(connection, domain, ids)
            fresh.keep()
            return rows
        known = self._rows.get(domain, {})
        found = [known.get(i, -1) for i in ids]
        if -1 in found:
            with self._database.read() as connection:
                asked = select(connection, domain, {i for i, row in zip(ids, found, strict=True) if row < 0})
            self.remember(domain, asked)
            found = [row if row >= 0 else asked.get(i, -1) for i, row in zip(ids, found, strict=True)]
        return np.array(found, dtype=np.int64)

    def ids(self, domain: str, rows: Sequence[int] | NDArray[np.int64]) -> list[str]:
        """The ids of row numbers; an empty string where there is none (as for -1)."""
        asked: list[int] = np.asarray(rows, dtype=np.int64).tolist()
        known = self._ids.get(domain, {})
        found = {r: known[r] for r in asked if r in known}
        missing = {r for r in asked if r >= 0 and r not in found}
        if missing:
            sql = "SELECT id, row FROM domain WHERE name = ? AND row IN (SELECT value FROM json_each(?))"
            with self._database.read() as connection:
                pairs = dict(connection.execute(sql, (domain, to_json(list(missing)))))
            self.remember(domain, pairs)
            found |= {row: i for i, row in pairs.items()}
        return [found.get(r, "") for r in asked]

    def all(self, domain: str) -> list[str]:
        """Every id of a domain in row order: `all(d)[row]` is the id of `row`."""
        with self._database.read() as connection:
            return [i for (i,) in connection.execute("SELECT id FROM domain WHERE name = ? ORDER BY row", (domain,))]

    def size(self, domain: str) -> int:
        """How many ids a domain has: row numbers are 0 to size - 1."""
        with self._database.read() as connection:
            return _size(connection, domain)

    def domains(self) -> list[str]:
        """The names of all domains that have ids."""
        with self._database.read() as connection:
            return [n for (n,) in connection.execute("SELECT DISTINCT name FROM domain ORDER BY name")]

    def cached(self, domain: str) -> dict[str, int]:
        """What this process remembers of a domain: id → row."""
        return self._rows.get(domain, {})

    def remember(self, domain: str, pairs: dict[str, int]) -> None:
        """Keeps committed pairs in memory."""
        self._count += len(pairs)
        if self._count > self._limit:
            # Other threads keep the old dictionaries that they hold; nothing is removed under them.
            self._rows, self._ids, self._count = {}, {}, len(pairs)
        if len(pairs) <= self._limit:
            self._rows.setdefault(domain, {}).update(pairs)
            self._ids.setdefault(domain, {}).update({row: i for i, row in pairs.items()})


class NewIds:
    """Row numbers for one write transaction, which creates those that are missing.

    What it found is remembered by the process only after the commit (`keep`), so that a transaction that is undone
    leaves no trace.
    """

    def __init__(self, ids: IdMap) -> None:
        self._ids = ids
        self._found: dict[str, dict[str, int]] = {}

    def rows(self, connection: sqlite3.Connection, domain: str, ids: Sequence[str]) -> NDArray[np.int64]:
        """The row numbers of ids, int64 [n]; new ids get the next numbers in the order given."""
        known, found = self._ids.cached(domain), self._found.setdefault(domain, {})
        missing = [i for i in dict.fromkeys(ids) if i not in known and i not in found]
        if missing:
            found.update(select(connection, domain, missing))
            found.update(_insert(connection, domain, [i for i in missing if i not in found]))
        return np.array([known[i] if i in known else found[i] for i in ids], dtype=np.int64)

    def keep(self) -> None:
        """To be called when the transaction has been committed."""
        for domain, pairs in self._found.items():
            self._ids.remember(domain, pairs)


def select(connection: sqlite3.Connection, domain: str, ids: Iterable[str]) -> dict[str, int]:
    """The committed row numbers of those ids that exist."""
    sql = "SELECT id, row FROM domain WHERE name = ? AND id IN (SELECT value FROM json_each(?))"
    return dict(connection.execute(sql, (domain, to_json(list(ids)))))


def to_json(values: Sequence[str] | Sequence[int]) -> str:
    """A list as JSON text for `json_each`: one statement for any number of values."""
    return msgspec.json.encode(values).decode()


def _size(connection: sqlite3.Connection, domain: str) -> int:
    row = connection.execute("SELECT max(row) FROM domain WHERE name = ?", (domain,)).fetchone()[0]
    return 0 if row is None else int(row) + 1


def _insert(connection: sqlite3.Connection, domain: str, ids: Sequence[str]) -> dict[str, int]:
    start = _size(connection, domain)
    pairs = {i: row for row, i in enumerate(ids, start)}
    # In the order of the index rather than of the rows: large imports stay within few pages.
    sql = "INSERT INTO domain SELECT ?, value, ? + key FROM json_each(?) ORDER BY value"
    connection.execute(sql, (domain, start, to_json(ids)))
    return pairs
