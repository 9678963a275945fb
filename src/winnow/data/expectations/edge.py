"""The expectations of a running project: read once, read again when somebody edited the file."""

import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from winnow.core.errors import WinnowError
from winnow.data.chunk import ChunkKind
from winnow.data.expectations.declare import FILE, Expectations
from winnow.data.expectations.enforce import Rules
from winnow.data.expectations.file import Schema, read
from winnow.data.expectations.tally import Note, Tally
from winnow.data.schema import Events, Table

_log = logging.getLogger(__name__)
_LOOK_S = 1.0  # how long an edit of the file may go unnoticed
TALLY = "tally.db"


class Edge:
    """What an intake asks about the rows that it takes.

    Args:
        folder: of the project, with `expectations.toml`; without that file nothing is expected.
        tables: the tables of the project by name.
        events: its event types by name.

    Raises:
        InputError: every mistake in the file; see `file.read`.
    """

    def __init__(self, folder: Path, tables: Mapping[str, Table], events: Mapping[str, Events]) -> None:
        self._path, self._schema = folder / FILE, Schema.of(tables, events)
        self._tally = Tally(folder / TALLY)
        self._stamp, self._looked = _stamp(self._path), time.monotonic()
        self._rules = self._read()

    def rules(self, kind: ChunkKind, name: str) -> Rules | None:
        """What is expected of an event type or a table; None when nothing is."""
        if time.monotonic() - self._looked > _LOOK_S:
            self._look()
        return self._rules.get((kind, name))

    def count(self, notes: Sequence[Note], now: int) -> None:
        """Counts what was seen."""
        if notes:
            self._tally.add(notes, now)

    def _look(self) -> None:
        self._looked = time.monotonic()
        if (stamp := _stamp(self._path)) != self._stamp:
            self._stamp = stamp
            try:
                self._rules = self._read()
            except WinnowError as error:
                _log.error("the expectations stay as they were: %s", error)

    def _read(self) -> dict[tuple[ChunkKind, str], Rules]:
        if self._stamp is None:
            return {}
        return compiled(read(self._path, self._schema))


def compiled(expectations: Expectations) -> dict[tuple[ChunkKind, str], Rules]:
    """Kind and name → rules."""
    events: dict[tuple[ChunkKind, str], Rules] = {("event", n): Rules(g) for n, g in expectations.event.items()}
    return events | {("row", n): Rules(g) for n, g in expectations.table.items()}


def _stamp(path: Path) -> tuple[int, int] | None:
    """What changes when the file is edited; None when there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_size
