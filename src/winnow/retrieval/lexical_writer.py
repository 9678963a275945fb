"""The writer of an index of words: takes changes of rows as the log tells them, and can be killed at any moment.

Rows change column by column, so what is known of each row is kept beside the index (`rows.db`). One commit is: rows,
then index, then position. After a kill the position is at most behind, and taking the same changes again ends in the
same index.
"""

import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from winnow.core.errors import Unavailable
from winnow.data.chunk import NO_TIME, Chunk
from winnow.retrieval.lexical import ROW, STEMS, WORDS, Layout
from winnow.retrieval.lexical_text import engine, stemmer, words_of

POSITION, ROWS = "position.json", "rows.db"
MEMORY = 64 << 20  # bytes the engine may gather before it writes a segment
_LONGEST = 50_000  # characters of a text that are read
_APART = " \x00 "  # between columns, so that no phrase reaches from one into the next
Known = dict[str, Any]


def position(folder: Path) -> int:
    """The place in the log up to which an index holds what tables say; -1 where there is none."""
    try:
        return int(json.loads((folder / POSITION).read_text())["seq"])
    except (OSError, ValueError, KeyError, TypeError):
        return -1


class LexicalWriter:
    """Writes one index; the engine lets only one process do so.

    Args:
        folder: of the index; what lies there damaged or half made is made again.
        layout: what it holds.
        named: column and row number → the id behind it: categories are words too.

    Raises:
        Unavailable: `package-missing`, `words-unreadable`.
    """

    def __init__(self, folder: Path, layout: Layout, *, named: Callable[[str, int], str] = lambda column, row: ""):
        self.folder, self.layout, self._named = folder, layout, cache(named)
        if position(folder) < 0:
            _empty(folder)
        try:
            index = layout.index(folder)
        except Unavailable:
            _empty(folder)
            index = layout.index(folder)
        self.seq = position(folder)
        self._writer = index.writer(MEMORY, 1)
        self._rows = sqlite3.connect(folder / ROWS, check_same_thread=False, isolation_level=None)
        self._rows.execute("PRAGMA journal_mode=WAL")
        self._rows.execute("CREATE TABLE IF NOT EXISTS known (row INTEGER PRIMARY KEY, body BLOB)")

    def take(self, chunks: Iterable[Chunk], *, seq: int) -> int:
        """Applies changes and commits them; how many rows changed.

        Args:
            chunks: of the table, in log order.
            seq: the place in the log that they reach.
        """
        changed: dict[int, Known | None] = {}
        for chunk in chunks:
            self._merge(chunk, changed)
        if changed:
            self._keep(changed)
            self._write(changed)
            self._writer.commit()
        self.seq = seq
        self._note()
        return len(changed)

    def close(self) -> None:
        """Lets another process write."""
        self._writer.wait_merging_threads()
        self._writer = None
        self._rows.close()

    def _merge(self, chunk: Chunk, changed: dict[int, Known | None]) -> None:
        rows, gone = chunk.ints("row").tolist(), chunk.ints("deleted").tolist()
        self._load([row for row in rows if row not in changed], changed)
        names = [n for n in {*self.layout.texts, *dict(self.layout.columns)} if n in chunk.columns]
        values = {name: _values(chunk, name) for name in names}
        for place, (row, deleted) in enumerate(zip(rows, gone, strict=True)):
            known = None if deleted else (changed.get(row) or {})
            if known is not None:
                known |= {name: column[place] for name, column in values.items()}
            changed[row] = known

    def _load(self, rows: Sequence[int], changed: dict[int, Known | None]) -> None:
        """What is known of rows so far."""
        for start in range(0, len(rows), 500):
            some = rows[start : start + 500]
            marks = ",".join("?" * len(some))
            found = self._rows.execute(f"SELECT row, body FROM known WHERE row IN ({marks})", some)
            changed.update((row, msgspec.msgpack.decode(body)) for row, body in found)

    def _keep(self, changed: Mapping[int, Known | None]) -> None:
        self._rows.execute("BEGIN")
        put = [(row, msgspec.msgpack.encode(known)) for row, known in changed.items() if known is not None]
        self._rows.executemany("INSERT OR REPLACE INTO known VALUES (?, ?)", put)
        self._rows.executemany("DELETE FROM known WHERE row = ?", [(r,) for r, known in changed.items() if not known])
        self._rows.execute("COMMIT")

    def _write(self, changed: Mapping[int, Known | None]) -> None:
        tantivy, schema = engine(), self.layout.schema
        rows = list(changed)
        if self.seq >= 0:  # a new index has nothing to take out
            for start in range(0, len(rows), 1_000):
                old = tantivy.Query.term_set_query(schema, ROW, rows[start : start + 1_000])
                self._writer.delete_documents_by_query(old)
        for row, known in changed.items():
            if known is not None and (document := self._document(row, known)) is not None:
                self._writer.add_document(tantivy.Document.from_dict(document, schema))

    def _document(self, row: int, known: Known) -> dict[str, Any] | None:
        """What the engine is given of a row; None when it has no words."""
        spoken = known.get(self.layout.language)
        stem = stemmer(self.layout.default if spoken is None else self._named(self.layout.language, spoken))
        parts, every = list[str](), set[str]()
        for name, times in self.layout.times.items():
            if words := words_of(self._text(name, known.get(name))[:_LONGEST]):
                parts += [" ".join(stem(words))] * times
                every.update(words)
        if not every:
            return None
        columns = {f"c_{name}": known[name] for name, _ in self.layout.columns if known.get(name) is not None}
        return {ROW: row, WORDS: " ".join(sorted(every)), STEMS: _APART.join(parts), **columns}

    def _text(self, name: str, value: Any) -> str:
        if value is None or isinstance(value, str):
            return value or ""
        return " ".join(self._named(name, row) for row in (value if isinstance(value, list) else [value]))

    def _note(self) -> None:
        beside = self.folder / (POSITION + ".new")
        with beside.open("w") as file:
            json.dump({"seq": self.seq}, file)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self.folder / POSITION)


def _values(chunk: Chunk, name: str) -> list[Any]:
    """A column as plain values, None where it is missing."""
    column = chunk.columns[name]
    if isinstance(column, list):
        return column
    if column.ndim == 2:
        return [[v for v in row if v >= 0] or None for row in column.tolist()]
    if column.dtype == np.float64:
        return [None if np.isnan(v) else v for v in column.tolist()]
    return [None if v in (-1, NO_TIME) else v for v in column.tolist()]


def _empty(folder: Path) -> None:
    """Takes everything out of a folder but the lock of who writes in it."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != "writing":
            path.unlink()
    folder.mkdir(parents=True, exist_ok=True)
