"""The decision log: one append-only, chained table in SQLite, and views that can be rebuilt from it.

All writers of all processes take turns, so that there is one chain. What is acknowledged is on disk and sealed.
"""

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from winnow.core.time import now_us
from winnow.data.database import Database
from winnow.moderation import views
from winnow.moderation.chain import GENESIS, Head, Record, Verdict, changed, check, numbered, record
from winnow.moderation.seals import Seals

_TABLE = """
CREATE TABLE IF NOT EXISTS record (
    seq INTEGER PRIMARY KEY, kind TEXT NOT NULL, key TEXT NOT NULL, at INTEGER NOT NULL, body TEXT NOT NULL,
    previous TEXT NOT NULL, hash TEXT NOT NULL, UNIQUE (kind, key))
"""
_COLUMNS = "seq, kind, key, at, body, previous, hash"
_PAGE = 5_000


class Ledger:
    """The log of one project.

    Args:
        folder: where its files are; made when absent.
        clock: the present, microseconds UTC.
        busy_s: how long a writer waits for those of other processes.
    """

    def __init__(self, folder: Path | str, *, clock: Callable[[], int] = now_us, busy_s: float = 60.0) -> None:
        self.folder, self.clock = Path(folder), clock
        self.folder.mkdir(parents=True, exist_ok=True)
        self.database = Database(self.folder / "decisions.db", busy_s=busy_s)
        self.seals = Seals(self.folder)
        self._sealed = 0  # what this process knows to be sealed
        with self.database.write() as connection:
            for statement in (_TABLE, *views.SCHEMA):
                connection.execute(statement)

    @contextmanager
    def writing(self) -> Iterator["Writer"]:
        """One transaction: its records are on disk and sealed when the block ends, and undone when it raises.

        Raises:
            Unavailable: `log-full`, `log-busy`, `log-unwritable`, `seal-unwritable`.
        """
        with self.database.write() as connection:
            writer = Writer(connection, self.clock())
            yield writer
        self.assure(writer.head)

    def assure(self, head: Head) -> None:
        """Seals the records up to a head, unless this process has done so: one that was killed may have left them."""
        if head.seq > self._sealed:
            self.seals.add(head)
            self._sealed = head.seq

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection to look at records and views."""
        with self.database.read() as connection:
            yield connection

    def records(self, *, after: int = 0, kind: str | None = None, limit: int | None = None) -> Iterator[Record]:
        """Records in order, read in pages, so that nobody who writes has to wait."""
        left = limit
        while left is None or left > 0:
            page = self._page(after, kind, _PAGE if left is None else min(left, _PAGE))
            yield from page
            if not page:
                return
            after, left = page[-1].seq, None if left is None else left - len(page)

    def _page(self, after: int, kind: str | None, limit: int) -> list[Record]:
        only = "" if kind is None else "AND kind = ?"
        values = (after, *([] if kind is None else [kind]), limit)
        with self.reading() as connection:
            sql = f"SELECT {_COLUMNS} FROM record WHERE seq > ? {only} ORDER BY seq LIMIT ?"
            return list(numbered(connection.execute(sql, values)))

    def find(self, kind: str, key: str) -> Record | None:
        """The record of a kind with this key."""
        with self.reading() as connection:
            return _found(connection, kind, key)

    def head(self) -> Head:
        """The last record."""
        with self.reading() as connection:
            return _last(connection)

    def verify(self, *, outside: Head | None = None) -> Verdict:
        """Whether every record is as it was written, none is missing, and the views say what the records say.

        Args:
            outside: a head that was noted elsewhere, as replies carry it; finds what seals cannot.
        """
        seals, forged = self.seals.read()
        verdict = check(self.records(), seals, outside=outside)
        if not verdict.ok:
            return verdict
        if forged:
            return changed(verdict, None, f"the seal of record {forged[0].seq} is forged, or was made with another key")
        if verdict.records and not seals:
            return changed(verdict, None, "the seals are missing")
        differs = self._view_differs()
        return changed(verdict, *differs) if differs else verdict

    def _view_differs(self) -> tuple[int | None, str] | None:
        with self.reading() as connection:
            connection.execute("BEGIN")  # views and records of one moment, whoever writes meanwhile
            try:
                rows = connection.execute(f"SELECT {_COLUMNS} FROM record ORDER BY seq")
                return views.difference(connection, numbered(rows))
            finally:
                connection.execute("COMMIT")

    def close(self) -> None:
        """Closes files; the log can be used again."""
        self.database.close()


class Writer:
    """What one transaction writes.

    Args:
        connection: in the transaction.
        now: microseconds UTC.
    """

    def __init__(self, connection: sqlite3.Connection, now: int) -> None:
        self.connection, self.now = connection, now
        self.head = _last(connection)
        self.written = 0

    def add(self, kind: str, key: str, body: Mapping[str, Any]) -> Record:
        """Appends a record; the one that is there when the key was used before."""
        known = self.find(kind, key)
        if known is not None:
            return known
        new = record(self.head.seq + 1, self.head.hash, kind=kind, key=key, at=self.now, body=body)
        values = (new.seq, new.kind, new.key, new.at, new.body, new.previous, new.hash)
        self.connection.execute(f"INSERT INTO record ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)", values)
        views.apply(self.connection, new)
        self.head, self.written = Head(new.seq, new.hash), self.written + 1
        return new

    @contextmanager
    def undoable(self) -> Iterator[Callable[[], None]]:
        """A part of the transaction; calling what it gives undoes it and leaves the rest."""
        before = self.head, self.written

        def undo() -> None:
            self.connection.execute("ROLLBACK TO part")
            self.head, self.written = before

        self.connection.execute("SAVEPOINT part")
        yield undo
        self.connection.execute("RELEASE part")

    def next_key(self) -> str:
        """A key for what happens any number of times: the `seq` that the next record will have."""
        return str(self.head.seq + 1)

    def find(self, kind: str, key: str) -> Record | None:
        """The record of a kind with this key."""
        return _found(self.connection, kind, key)


def _found(connection: sqlite3.Connection, kind: str, key: str) -> Record | None:
    row = connection.execute(f"SELECT {_COLUMNS} FROM record WHERE kind = ? AND key = ?", (kind, key)).fetchone()
    return Record(*row) if row else None


def _last(connection: sqlite3.Connection) -> Head:
    row = connection.execute("SELECT seq, hash FROM record ORDER BY seq DESC LIMIT 1").fetchone()
    return Head(*row) if row else Head(0, GENESIS)
