"""Pictures come in: decoded, freed of all but their pixels, kept, and named in a row of their table."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from winnow.core.errors import InputError, Problem
from winnow.core.time import now_us
from winnow.data.batch import Receipt
from winnow.data.importers import Summary, load
from winnow.data.importers.pictures import Pictures
from winnow.data.schema import Table
from winnow.encoders.encodings import MEDIA
from winnow.serving.gallery import Gallery
from winnow.serving.leftovers import Leftovers
from winnow.serving.tail import Tail

if TYPE_CHECKING:
    from winnow.project.project import Project

NAME = Pictures.name
PRIVATE = "private"


class Collection:
    """The pictures of a project.

    A table with a column of kind `image` may also have `look` (the same for near-duplicates), `width`, `height` and
    `uploaded_at`, which are set with the picture; and `private`, which becomes false where nobody has said anything.

    Args:
        project: whose tables they are in.
    """

    def __init__(self, project: "Project"):
        self._project, self._tails = project, dict[str, Tail]()
        self.gallery = Gallery(project.folder / MEDIA)
        self.leftovers = Leftovers(project.log, project.tables.values(), self.gallery)

    def put(self, table: Table, key: str, data: bytes, *, columns: Mapping[str, Any]) -> Receipt:
        """Keeps a picture and sets the row that names it; a row that is there keeps its other columns.

        Args:
            table: with a column of kind `image`.
            key: id of the row.
            data: the file as it was sent.
            columns: further columns of the row.

        Raises:
            InputError: `image-unreadable`, `image-too-large`, `image-too-slow`, `image-refused`.
            Unavailable: `log-full`, `log-busy`.
        """
        row = self._taken(table, data) | self._public(table, key) | dict(columns) | {table.key: key}
        return self._project.intake.rows(table.name, [row])

    def load(self, path: Path | str, *, progress: bool | None = None) -> Summary:
        """Takes in a folder or a Parquet file of pictures; those that cannot be read are counted, with the reason.

        Raises:
            NotFound: `no-such-path`.
            InputError: `which-table`, `missing-column`.
        """
        table, refused, first = self._table(), Counter[str](), dict[str, Problem]()

        def told(name: str, error: InputError) -> None:
            refused[error.code] += 1
            first.setdefault(error.code, replace(error.problems[0], where=name))

        def take(key: str, data: bytes) -> Mapping[str, Any]:
            return self._taken(table, data) | self._public(table, key)

        importer = Pictures(table, take, refused=told)
        summary = load(importer, path, self._project.intake, progress=progress)
        problems = tuple(replace(p, what=f"{p.what} ({refused[code]} pictures)") for code, p in first.items())
        receipt = summary.receipts.get(table.name, Receipt()) + Receipt(refused=refused.total(), problems=problems)
        return replace(summary, receipts={**summary.receipts, table.name: receipt})

    def close(self) -> None:
        """Ends the decoder."""
        self.gallery.close()

    def _table(self) -> Table:
        """The one table of the project that has pictures."""
        found = [t for t in self._project.tables.values() if _column(t)]
        if len(found) != 1:
            what = f"{len(found)} tables of the project have a column of kind `image`"
            raise InputError(Problem("which-table", what, fix="declare exactly one, or use the importer `mapping`"))
        return found[0]

    def _taken(self, table: Table, data: bytes) -> dict[str, Any]:
        """Keeps a picture; the columns that it sets, as far as the table declares them."""
        taken = self.gallery.take(data)
        row = {"look": taken.look, "width": float(taken.width), "height": float(taken.height), "uploaded_at": now_us()}
        return {n: v for n, v in row.items() if n in table.columns} | {str(_column(table)): taken.file}

    def _public(self, table: Table, key: str) -> dict[str, Any]:
        """Says that a picture is public, unless somebody has said anything about it: that is never overruled."""
        if PRIVATE not in table.columns:
            return {}
        log = self._project.log
        tail = self._tails.setdefault(table.name, Tail(log, table.name, flag=PRIVATE))
        tail.follow(log.last_seq(), since=0)
        return {} if int(log.ids.rows(table.name, [key])[0]) in tail.flags else {PRIVATE: 0}


def _column(table: Table) -> str | None:
    return next((name for name, kind in table.columns.items() if kind.media == "image"), None)
