"""What the edge has seen, counted by the hour: broken expectations, clocks that run ahead, events sent again.

Counts are for people, not truth: they are written without waiting for the disk, and a count that cannot be written
is dropped rather than holding up the rows.
"""

import sqlite3
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from winnow.core.time import MICROS
from winnow.data.chunk import ChunkKind

HOUR = 3600 * MICROS
_SCHEMA = {
    "hour": pl.Int64, "kind": pl.String, "name": pl.String, "field": pl.String, "code": pl.String, "who": pl.String,
    "rows": pl.Int64, "amount": pl.Float64, "most": pl.Float64,
}  # fmt: skip
_TABLE = """CREATE TABLE IF NOT EXISTS tally (hour INTEGER, kind TEXT, name TEXT, field TEXT, code TEXT, who TEXT,
rows INTEGER, amount REAL, most REAL, PRIMARY KEY (hour, kind, name, field, code, who)) WITHOUT ROWID"""
_ADD = """INSERT INTO tally VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE
SET rows = rows + excluded.rows, amount = amount + excluded.amount, most = max(most, excluded.most)"""
_BUSY_S = 0.05


@dataclass(frozen=True)
class Note:
    """Something to count.

    Args:
        kind: `event` or `row`.
        name: the event type or table.
        field: the column; empty for the row as a whole.
        code: the rule that was broken; `taken` for every event, `ahead` for one whose clock runs ahead of ours,
            `resent` for one that the log had.
        rows: how many.
        who: the producer, if known.
        amount: sum over the rows (of seconds ahead).
        most: the largest of them.
    """

    kind: ChunkKind
    name: str
    field: str
    code: str
    rows: int
    who: str = ""
    amount: float = 0.0
    most: float = 0.0


class Tally:
    """Counts by hour in a small file beside the log; threads and processes may share it.

    Args:
        path: the SQLite file; made when there is something to count.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def add(self, notes: Sequence[Note], now: int) -> None:
        """Counts; does nothing when the file is locked or cannot be written."""
        hour = now // HOUR * HOUR
        rows = [(hour, n.kind, n.name, n.field, n.code, n.who, n.rows, n.amount, n.most) for n in notes]
        with self._lock:
            try:
                connection = self._open()
                connection.execute("BEGIN IMMEDIATE")
                connection.executemany(_ADD, rows)
                connection.execute("COMMIT")
            except sqlite3.Error:
                self._connection = None

    def rows(self, since: int = 0) -> pl.DataFrame:
        """What was counted from the hour of a moment on: `hour, kind, name, field, code, who, rows, amount, most`."""
        if not self._path.exists():
            return pl.DataFrame(schema=_SCHEMA)
        sql = f"SELECT {', '.join(_SCHEMA)} FROM tally WHERE hour >= ?"
        with self._lock:
            found = self._open().execute(sql, (since // HOUR * HOUR,)).fetchall()
        return pl.DataFrame(found, schema=_SCHEMA, orient="row")

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = sqlite3.connect(
                self._path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
            )
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = OFF")
            self._connection.execute(_TABLE)
        return self._connection
