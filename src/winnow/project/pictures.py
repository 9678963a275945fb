"""Pictures and videos come in: decoded, freed of all but their pixels, kept, and named in a row of their table."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from winnow.core.errors import InputError, Problem
from winnow.core.time import now_us
from winnow.data.batch import Receipt
from winnow.data.importers import Summary, load
from winnow.data.importers.pictures import Pictures, Videos
from winnow.data.schema import Table
from winnow.encoders.encodings import MEDIA
from winnow.serving.clips import Clips, TakenClip
from winnow.serving.gallery import Gallery
from winnow.serving.leftovers import Leftovers
from winnow.serving.tail import Tail

if TYPE_CHECKING:
    from winnow.project.project import Project

IMPORTERS: dict[str, tuple[type[Pictures], str]] = {Pictures.name: (Pictures, "image"), Videos.name: (Videos, "video")}
PRIVATE = "private"


class Collection:
    """The pictures and videos of a project.

    A table with a column of kind `image` or `video` may also have `look` (the same for near-duplicates), `width`,
    `height`, `duration_s` (of a video) and `uploaded_at`, which are set with it; and `private`, which becomes false
    where nobody has said anything.

    Args:
        project: whose tables they are in.
    """

    def __init__(self, project: "Project"):
        self._project, self._tails = project, dict[str, Tail]()
        self.gallery = Gallery(project.folder / MEDIA)
        self.clips = Clips(self.gallery)
        self.leftovers = Leftovers(project.log, project.tables.values(), self.gallery)

    def put(self, table: Table, key: str, data: bytes, *, columns: Mapping[str, Any]) -> Receipt:
        """Keeps a picture or video and sets the row that names it; a row that is there keeps its other columns.

        Args:
            table: with a column of kind `image` or `video`.
            key: id of the row.
            data: the file as it was sent.
            columns: further columns of the row.

        Raises:
            InputError: `image-unreadable`, `image-too-large`, `image-too-slow`, `image-refused`; of a video the same
                with `video`.
            Unavailable: `log-full`, `log-busy`.
        """
        row = self._taken(table, data) | self._public(table, key) | dict(columns) | {table.key: key}
        return self._project.intake.rows(table.name, [row])

    def load(self, path: Path | str, *, name: str = Pictures.name, progress: bool | None = None) -> Summary:
        """Takes in a folder or a Parquet file of pictures or videos; those that cannot be read are counted, with the
        reason.

        Args:
            path: folder or file.
            name: one of `IMPORTERS`.
            progress: whether to show a progress line; None for only on a terminal.

        Raises:
            NotFound: `no-such-path`.
            InputError: `which-table`, `missing-column`.
        """
        kind, media = IMPORTERS[name]
        table, refused, first = self._table(media), Counter[str](), dict[str, Problem]()

        def told(name: str, error: InputError) -> None:
            refused[error.code] += 1
            first.setdefault(error.code, replace(error.problems[0], where=name))

        def take(key: str, data: bytes) -> Mapping[str, Any]:
            return self._taken(table, data) | self._public(table, key)

        importer = kind(table, take, refused=told)
        summary = load(importer, path, self._project.intake, progress=progress)
        problems = tuple(replace(p, what=f"{p.what} ({refused[code]} {name})") for code, p in first.items())
        receipt = summary.receipts.get(table.name, Receipt()) + Receipt(refused=refused.total(), problems=problems)
        return replace(summary, receipts={**summary.receipts, table.name: receipt})

    def close(self) -> None:
        """Ends the decoders."""
        self.gallery.close()
        self.clips.close()

    def _table(self, media: str) -> Table:
        """The one table of the project that has pictures, or videos."""
        found = [t for t in self._project.tables.values() if _column(t)[1] == media]
        if len(found) != 1:
            what = f"{len(found)} tables of the project have a column of kind `{media}`"
            raise InputError(Problem("which-table", what, fix="declare exactly one, or use the importer `mapping`"))
        return found[0]

    def _taken(self, table: Table, data: bytes) -> dict[str, Any]:
        """Keeps a picture or video; the columns that it sets, as far as the table declares them."""
        column, media = _column(table)
        taken = self.clips.take(data) if media == "video" else self.gallery.take(data)
        row = {"look": taken.look, "width": float(taken.width), "height": float(taken.height), "uploaded_at": now_us()}
        row |= {"duration_s": taken.seconds} if isinstance(taken, TakenClip) else {}
        return {n: v for n, v in row.items() if n in table.columns} | {column: taken.file}

    def _public(self, table: Table, key: str) -> dict[str, Any]:
        """Says that a picture is public, unless somebody has said anything about it: that is never overruled."""
        if PRIVATE not in table.columns:
            return {}
        log = self._project.log
        tail = self._tails.setdefault(table.name, Tail(log, table.name, flag=PRIVATE))
        tail.follow(log.last_seq(), since=0)
        return {} if int(log.ids.rows(table.name, [key])[0]) in tail.flags else {PRIVATE: 0}


def _column(table: Table) -> tuple[str, str]:
    """The first column that names a file, and of what kind it is; empty where there is none."""
    return next(
        ((name, kind.media) for name, kind in table.columns.items() if kind.media in ("image", "video")), ("", "")
    )
