"""Importers: from files as somebody published them to tables and events, through the one intake."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import polars as pl

from winnow.core.declare import plain
from winnow.core.errors import InputError, NotFound, Problem
from winnow.data.batch import Receipt
from winnow.data.intake import Intake

Part = tuple[str, pl.DataFrame]
Report = Callable[[str, float, float | None], None]


class Importer:
    """Reads one layout of files. A subclass says what it is called and yields tables, then events, in parts."""

    name: str = ""

    def tables(self, path: Path) -> Iterator[Part]:
        """Rows of tables: name, frame as `Intake.frame` takes it."""
        yield from ()

    def events(self, path: Path) -> Iterator[Part]:
        """Events: type, frame as `Intake.frame` takes it."""
        yield from ()


@dataclass(frozen=True)
class Summary:
    """What an import did.

    Args:
        importer: its name.
        receipts: event type or table → what became of its rows.
        left_out: columns and types that the files have and the project does not declare.
        seconds: how long it took.
    """

    importer: str
    receipts: Mapping[str, Receipt] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def total(self) -> Receipt:
        """All receipts together."""
        return sum(self.receipts.values(), start=Receipt())

    def rows(self) -> list[dict[str, Any]]:
        """One record per table or event type: its name and the counts of its receipt."""
        counts = ("accepted", "duplicates", "quarantined", "refused")
        return [{"name": name} | {c: getattr(r, c) for c in counts} for name, r in self.receipts.items()]

    def to_data(self) -> dict[str, Any]:
        """The summary as JSON data."""
        problems = [plain(problem) for problem in self.total.problems]
        return {
            "importer": self.importer, "rows": self.rows(), "left_out": list(self.left_out), "problems": problems,
            "seconds": round(self.seconds, 3),
        }  # fmt: skip


def load(importer: Importer, path: Path | str, intake: Intake, *, progress: Report | bool | None = None) -> Summary:
    """Imports files into the log; doing it again adds nothing, so an import that broke off is simply repeated.

    Args:
        importer: what reads the files.
        path: folder or file.
        intake: where rows go.
        progress: whether to show a progress line (None for only on a terminal); or what is told the table or event
            type, its rows so far and None, after every part.

    Raises:
        NotFound: `no-such-path`, `missing-file`.
        InputError: `nothing-declared`, when the project declares none of the tables and events in the files.
        Unavailable: `log-full`; repeat when there is room.
    """
    path = Path(path)
    if not path.exists():
        raise NotFound(
            Problem("no-such-path", f"`{path.name}` does not exist", str(path), fix="give the folder's path")
        )
    loading = _Loading(intake)
    started = time.perf_counter()
    with _reporting(importer.name, progress) as report:
        for name, frame in chain(importer.tables(path), importer.events(path)):
            loading.take(name, frame)
            report(name, loading.rows(name), None)
    if not loading.receipts:
        what = f"the project declares nothing that `{importer.name}` brings"
        fix = f"declare tables or events named {', '.join(sorted(loading.left_out)) or 'as in the files'}"
        raise InputError(Problem("nothing-declared", what, str(path), fix=fix))
    return Summary(importer.name, loading.receipts, tuple(sorted(loading.left_out)), time.perf_counter() - started)


class _Loading:
    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self.receipts: dict[str, Receipt] = {}
        self.left_out: set[str] = set()

    def take(self, name: str, frame: pl.DataFrame) -> None:
        kinds = self._intake.kinds(name)
        if not kinds:
            self.left_out.add(name)
            return
        self.left_out |= {f"{name}.{column}" for column in frame.columns if column not in kinds}
        known = frame.select(column for column in frame.columns if column in kinds)
        self.receipts[name] = self.receipts.get(name, Receipt()) + self._intake.frame(name, known, backfill=True)

    def rows(self, name: str) -> int:
        receipt = self.receipts.get(name, Receipt())
        return receipt.accepted + receipt.duplicates + receipt.quarantined + receipt.refused


@contextmanager
def _reporting(title: str, progress: Report | bool | None) -> Iterator[Report]:
    if callable(progress):
        yield progress
    elif progress is False or (progress is None and not sys.stderr.isatty()):
        yield lambda what, done, total: None
    else:
        from rich.console import Console

        with Console(stderr=True).status(f"importing {title}") as status:
            yield lambda what, done, total: status.update(f"importing {title}: {what}, {done:,.0f} rows")


def file(path: Path, pattern: str) -> Path:
    """The one file of a folder that matches a pattern.

    Raises:
        NotFound: `missing-file`.
    """
    found = sorted(path.glob(pattern))
    if not found:
        fix = "give the folder with the unpacked files"
        raise NotFound(Problem("missing-file", f"no file `{pattern}` in `{path.name}`", str(path), fix=fix))
    return found[0]
