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
from winnow.serving.gallery import Gallery

if TYPE_CHECKING:
    from winnow.project.project import Project

NAME = Pictures.name


def pictured(project: "Project") -> Table:
    """The one table of a project that has pictures.

    Raises:
        InputError: `which-table`, when none has, or several.
    """
    found = [t for t in project.tables.values() if _column(t)]
    if len(found) != 1:
        what = f"{len(found)} tables of the project have a column of kind `image`"
        raise InputError(Problem("which-table", what, fix="declare exactly one, or use the importer `mapping`"))
    return found[0]


def taken(table: Table, gallery: Gallery, data: bytes) -> dict[str, Any]:
    """Keeps a picture; the columns of its row, as far as the table declares them.

    The table may have `look` (the same for near-duplicates), `width`, `height`, `uploaded_at` and `private`, which is
    then false unless the row says otherwise.

    Raises:
        InputError: `image-unreadable`, `image-too-large`, `image-too-slow`, `image-refused`.
    """
    picture = gallery.take(data)
    row = {
        "look": picture.look, "width": float(picture.width), "height": float(picture.height), "private": 0,
        "uploaded_at": now_us(),
    }  # fmt: skip
    return {name: value for name, value in row.items() if name in table.columns} | {str(_column(table)): picture.file}


def put(project: "Project", table: Table, key: str, data: bytes, *, columns: Mapping[str, Any]) -> Receipt:
    """Keeps a picture and sets the row that names it; a row that is there keeps its other columns.

    Args:
        project: whose table it is.
        table: with a column of kind `image`.
        key: id of the row.
        data: the file as it was sent.
        columns: further columns of the row.

    Raises:
        InputError: as `taken`.
        Unavailable: `log-full`, `log-busy`.
    """
    row = taken(table, project.gallery, data) | dict(columns) | {table.key: key}
    return project.intake.rows(table.name, [row])


def import_pictures(project: "Project", path: Path | str, *, progress: bool | None = None) -> Summary:
    """Takes in a folder or a Parquet file of pictures; those that cannot be read are counted, with the first reason.

    Raises:
        NotFound: `no-such-path`.
        InputError: `which-table`, `missing-column`.
    """
    table, refused, first = pictured(project), Counter[str](), dict[str, Problem]()

    def told(name: str, error: InputError) -> None:
        refused[error.code] += 1
        first.setdefault(error.code, replace(error.problems[0], where=name))

    importer = Pictures(table, lambda data: taken(table, project.gallery, data), refused=told)
    summary = load(importer, path, project.intake, progress=progress)
    problems = tuple(replace(p, what=f"{p.what} ({refused[code]} pictures)") for code, p in first.items())
    receipt = summary.receipts.get(table.name, Receipt()) + Receipt(refused=refused.total(), problems=problems)
    return replace(summary, receipts={**summary.receipts, table.name: receipt})


def _column(table: Table) -> str | None:
    return next((name for name, kind in table.columns.items() if kind.media == "image"), None)
