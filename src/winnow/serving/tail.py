"""The tail of one table: what the log says last about its rows, followed as the log grows."""

import threading
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from winnow.core.candidates import Ints
from winnow.data.chunk import Chunk, decode
from winnow.data.log import SqliteLog

T = TypeVar("T")
_CHANGES = (
    "SELECT until_seq, kind, name, body FROM chunk "
    "WHERE first_seq > ? AND first_seq <= ? AND kind = 'row' AND name = ? ORDER BY first_seq"
)


class Tail:
    """When each row of a table changed last, and what one of its text columns, or its flags, says.

    It lives in the memory of one process: 8 bytes for each row, and the texts.

    Args:
        log: the event log.
        table: name of the table.
        text: the column whose texts are kept; None for none.
        flag: the column whose flags are kept; None for none.
    """

    def __init__(self, log: SqliteLog, table: str, text: str | None = None, *, flag: str | None = None):
        self._log, self._table, self._text, self._flag = log, table, text, flag
        self._changed = np.zeros(0, np.int64)
        self._from = self.seq = -1
        self._lock = threading.Lock()
        self.texts: dict[int, str] = {}
        self.flags: dict[int, int] = {}

    @property
    def log(self) -> SqliteLog:
        """The log that it follows."""
        return self._log

    def follow(self, until: int, *, since: int) -> None:
        """Reads on.

        Args:
            until: the last `seq` to look at.
            since: changes after this `seq` are to be known; those before may be. With a column all are read.
        """
        with self._lock:
            start = 0 if self._text or self._flag else since
            if self.seq < 0 or start < self._from:
                self._from = self.seq = start
            if until > self.seq:
                for chunk in self._chunks(self.seq, until):
                    self._take(chunk)
                self.seq = until

    def changed_after(self, seq: int) -> Ints:
        """Rows that changed later than this, int64 [n]."""
        return np.flatnonzero(self._changed > seq)

    def _chunks(self, after: int, until: int) -> list[Chunk]:
        with self._log.database.read() as connection:
            found = connection.execute(_CHANGES, (after, until, self._table)).fetchall()
        return [Chunk(kind, name, decode(body), end) for end, kind, name, body in found]

    def _take(self, chunk: Chunk) -> None:
        rows = chunk.ints("row")
        short = int(rows.max()) + 1 - len(self._changed)
        if short > 0:
            self._changed = np.append(self._changed, np.zeros(max(short, len(self._changed)), np.int64))
        self._changed[rows] = chunk.ints("seq")
        gone = chunk.ints("deleted").tolist()
        if self._text is not None:
            texts = chunk.texts(self._text) if self._text in chunk.columns else None
            _keep(self.texts, rows.tolist(), gone, texts)
        if self._flag is not None:
            flags = chunk.ints(self._flag).tolist() if self._flag in chunk.columns else None
            _keep(self.flags, rows.tolist(), gone, flags and [None if flag < 0 else flag for flag in flags])


def _keep(kept: dict[int, T], rows: list[int], gone: list[int], values: Sequence[T | None] | None) -> None:
    """The values of rows after a change: those set, without those cleared and those of rows that are gone."""
    for place, (row, deleted) in enumerate(zip(rows, gone, strict=True)):
        value = values[place] if values is not None and not deleted else None
        if value is not None and value != "":
            kept[row] = value
        elif deleted or values is not None:
            kept.pop(row, None)
