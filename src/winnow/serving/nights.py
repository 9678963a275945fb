"""Calendars as serving knows them: every worker follows the log, so that a night that is taken is gone at once."""

from collections.abc import Mapping

from winnow.data.chunk import Chunk
from winnow.data.log import SqliteLog
from winnow.data.schema import Table
from winnow.features.nights import Nights
from winnow.serving.tail import Tail


class Calendars:
    """The free nights of the rows of a table, by column.

    Args:
        log: the event log.
        table: the items.
    """

    def __init__(self, log: SqliteLog, table: Table):
        columns = [name for name, kind in table.columns.items() if kind.media == "nights"]
        self._tails = {name: _Followed(log, table.name, name) for name in columns}

    @property
    def columns(self) -> Mapping[str, Nights]:
        """Column → free nights."""
        return {name: tail.nights for name, tail in self._tails.items()}

    def follow(self, until: int) -> None:
        """Reads on, up to a place in the log."""
        for tail in self._tails.values():
            tail.follow(until, since=0)


class _Followed(Tail):
    """A tail that keeps its texts as bits."""

    def __init__(self, log: SqliteLog, table: str, column: str):
        super().__init__(log, table, column)
        self._column, self.nights = column, Nights()

    def _take(self, chunk: Chunk) -> None:
        rows, gone = chunk.ints("row"), chunk.ints("deleted") == 1
        if self._column in chunk.columns:
            texts = chunk.texts(self._column)
            self.nights.put(rows, [None if g else t for g, t in zip(gone.tolist(), texts, strict=True)])
        elif gone.any():
            self.nights.put(rows[gone], [None] * int(gone.sum()))
