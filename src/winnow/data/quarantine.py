"""Rows that did not pass: kept with the reason, listed, counted, mended and replayed."""

import hashlib
import json
import sqlite3
from collections.abc import Sequence
from typing import Any, Protocol

import polars as pl

from winnow.data.batch import Receipt, Reject
from winnow.data.chunk import ChunkKind
from winnow.data.database import Database
from winnow.data.ids import to_json

Row = tuple[int, ChunkKind, str, bool, Any]  # id, kind, name, whether from an import, the row itself
_PAGE = 1000
_SCHEMA = {
    "id": pl.Int64, "kind": pl.String, "name": pl.String, "received_at": pl.Int64, "code": pl.String,
    "field": pl.String, "reason": pl.String, "fix": pl.String, "row": pl.String,
}  # fmt: skip
_INSERT = """INSERT INTO quarantine (digest, kind, name, received_at, backfill, code, field, reason, fix, row)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (digest) DO UPDATE
SET code = excluded.code, field = excluded.field, reason = excluded.reason, fix = excluded.fix"""


def put_aside(connection: sqlite3.Connection, rejects: Sequence[Reject], *, now: int) -> int:
    """Writes refused rows inside a transaction; a row that is there already gets the new reason."""
    rows = [(_digest(r), r.kind, r.name, now, r.backfill, r.code, r.field, r.reason, r.fix, r.row) for r in rejects]
    if rows:
        connection.executemany(_INSERT, rows)
    return len(rows)


def take_out(connection: sqlite3.Connection, ids: Sequence[int]) -> None:
    """Removes rows inside a transaction."""
    if ids:
        connection.execute("DELETE FROM quarantine WHERE id IN (SELECT value FROM json_each(?))", (to_json(list(ids)),))


def _digest(reject: Reject) -> bytes:
    # An unknown event has no name yet, and must be recognised when it is checked again under its name.
    return hashlib.sha256(
        f"{reject.kind}\0{reject.name if reject.kind == 'row' else ''}\0{reject.row}".encode("utf-8", "surrogatepass")
    ).digest()


class Replays(Protocol):
    """What checks quarantined rows again: an `Intake`."""

    def replay(self, quarantined: Sequence[Row]) -> Receipt: ...


class Quarantine:
    """The rows set aside in a project's log file."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def rows(self, *, limit: int = 1000, after: int = 0) -> pl.DataFrame:
        """The rows in order of arrival: `id, kind, name, received_at, code, field, reason, fix, row` (JSON text).

        Args:
            limit: how many at most.
            after: the `id` of the last row of the page before.
        """
        sql = f"SELECT {', '.join(_SCHEMA)} FROM quarantine WHERE id > ? ORDER BY id LIMIT ?"
        with self._database.read() as connection:
            rows = connection.execute(sql, (after, limit)).fetchall()
        return pl.DataFrame(rows, schema=_SCHEMA, orient="row")

    def list(self, limit: int = 1000) -> pl.DataFrame:
        """The newest rows first, with the columns of `rows`."""
        sql = f"SELECT {', '.join(_SCHEMA)} FROM quarantine ORDER BY id DESC LIMIT ?"
        with self._database.read() as connection:
            rows = connection.execute(sql, (limit,)).fetchall()
        return pl.DataFrame(rows, schema=_SCHEMA, orient="row")

    def replay(self, intake: Replays) -> Receipt:
        """Checks every row again; those that pass now land and leave, the others get their new reason."""
        receipt, after = Receipt(), 0
        while page := self.page(after=after, limit=_PAGE):
            receipt += intake.replay(page)
            after = page[-1][0]
        return receipt

    def counts(self) -> pl.DataFrame:
        """How many rows of each `kind`, `name`, `code` and `field`, most frequent first."""
        sql = "SELECT kind, name, code, field, count(*) FROM quarantine GROUP BY 1, 2, 3, 4 ORDER BY 5 DESC, 2, 3, 4"
        with self._database.read() as connection:
            rows = connection.execute(sql).fetchall()
        schema = {"kind": pl.String, "name": pl.String, "code": pl.String, "field": pl.String, "rows": pl.Int64}
        return pl.DataFrame(rows, schema=schema, orient="row")

    def page(self, *, after: int, limit: int) -> Sequence[Row]:
        """Rows to try again."""
        sql = "SELECT id, kind, name, backfill, row FROM quarantine WHERE id > ? ORDER BY id LIMIT ?"
        with self._database.read() as connection:
            found = connection.execute(sql, (after, limit)).fetchall()
        return [(i, kind, name, bool(backfill), json.loads(row)) for i, kind, name, backfill, row in found]

    def drop(self, ids: Sequence[int]) -> int:
        """Removes rows for good; returns how many there were."""
        with self._database.write() as connection:
            before = connection.total_changes
            take_out(connection, ids)
            return connection.total_changes - before
