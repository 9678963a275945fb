"""Pictures and videos of one's own: a folder of files, or a Parquet file that holds them.

In a folder the name of the subfolder is the kind, `shirt/0001.jpg`, and the path without its ending is the id. Where
the folders at the top are called `train`, `validation` and `test`, they are the parts, and the kinds lie in them. In a
Parquet file the column `picture` holds the files' bytes, and the other columns are those of the table.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import polars as pl

from winnow.core.errors import InputError, Problem
from winnow.data.importers.base import Importer, Part
from winnow.data.schema import Table

ENDINGS = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp"})
BYTES = "picture"
KIND, PART = "kind", "part"
PARTS = frozenset({"train", "valid", "validation", "val", "test"})
_AT_ONCE = 256

Take = Callable[[str, bytes], Mapping[str, Any]]
"""Takes a picture in, by its id; returns the columns of its row. Raises InputError for one that cannot be taken."""


class Pictures(Importer):
    """Pictures as rows of one table.

    Args:
        table: where the rows go.
        take: keeps a picture.
        refused: told of the file (or row) and the reason of each picture that cannot be taken.
    """

    name = "pictures"

    endings: ClassVar[frozenset[str]] = ENDINGS
    column: ClassVar[str] = BYTES

    def __init__(self, table: Table, take: Take, *, refused: Callable[[str, InputError], None]):
        self._table, self._take, self._refused = table, take, refused

    def tables(self, path: Path) -> Iterator[Part]:
        rows: list[dict[str, Any]] = []
        for name, data, given in self._found(path):
            try:
                rows.append({**self._take(name, data), **given, self._table.key: name})
            except InputError as error:
                self._refused(name, error)
            if len(rows) == _AT_ONCE:
                yield from self._frames(rows)
                rows = []
        yield from self._frames(rows)

    def _frames(self, rows: list[dict[str, Any]]) -> Iterator[Part]:
        """One frame for all rows that set the same columns: a null would clear what a row does not speak of."""
        alike: dict[frozenset[str], list[dict[str, Any]]] = {}
        for row in rows:
            alike.setdefault(frozenset(row), []).append(row)
        for some in alike.values():
            yield self._table.name, pl.DataFrame(some, infer_schema_length=None)

    def _found(self, path: Path) -> Iterator[tuple[str, bytes, dict[str, Any]]]:
        """Id, bytes and further columns of every picture."""
        if path.is_dir():
            files = sorted(f for f in path.rglob("*") if f.suffix.lower() in self.endings and f.is_file())
            parted = {f.relative_to(path).parts[0] for f in files} <= PARTS
            for file in files:
                inside = file.relative_to(path)
                folders = inside.parts[:-1][:2] if parted else ("", *inside.parts[:-1][:1])
                given = {name: value for name, value in zip((PART, KIND), folders, strict=False) if value}
                yield inside.with_suffix("").as_posix(), file.read_bytes(), given
            return
        for rows in pl.scan_parquet(path).collect().iter_slices(_AT_ONCE):
            yield from self._rows(rows)

    def _rows(self, rows: pl.DataFrame) -> Iterator[tuple[str, bytes, dict[str, Any]]]:
        key = self._table.key
        if missing := [c for c in (key, self.column) if c not in rows.columns]:
            what = f"the file has no column `{missing[0]}`"
            raise InputError(Problem("missing-column", what, missing[0], fix=f"it needs `{key}` and `{self.column}`"))
        for row in rows.iter_rows(named=True):
            given = {name: value for name, value in row.items() if name not in (key, self.column) and value is not None}
            yield str(row[key]), row[self.column] or b"", given


class Videos(Pictures):
    """Videos as rows of one table, in folders or a Parquet file as pictures are; the column there is `video`."""

    name = "videos"
    endings: ClassVar[frozenset[str]] = frozenset({
        ".mp4", ".m4v", ".mov", ".3gp", ".webm", ".mkv", ".avi", ".mpg", ".mpeg", ".ts", ".flv", ".ogv", ".wmv",
    })  # fmt: skip
    column: ClassVar[str] = "video"
