"""Table columns as of now. A line is when the value became known, then the value; 0, an untouched cell, is nothing."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from winnow.data.schema import Kind
from winnow.features.batch import Ints
from winnow.features.keys import missing
from winnow.features.live.files import SharedSheet, Sheet, Write
from winnow.features.state import NEVER, SET_WIDTH

_KNOWN, _VALUE = np.array([[0]]), np.array([[1]])


class ColumnTable:
    """Reads and updates the current values of a table's column.

    Args:
        sheet: the lines.
        kind: the column's kind.
    """

    def __init__(self, sheet: Sheet, kind: Kind):
        self._sheet, self._float, self._wide = sheet, kind.storage == "number", kind.storage == "categories"
        self._empty = int(np.array([np.nan]).view(np.int64)[0]) if self._float else int(missing(kind))

    @staticmethod
    def width(kind: Kind) -> int:
        """Cells per line."""
        return 1 + (SET_WIDTH if kind.storage == "categories" else 1)

    def read(self, rows: Ints) -> NDArray[np.generic]:
        """As `State.column`."""
        if self._wide:
            return self._sheet.lines(rows)[:, 1:] ^ self._empty
        values: Ints = self._sheet.columns(rows, _VALUE)[0] ^ self._empty
        return values.view(np.float64) if self._float else values

    def known_at(self, rows: Ints) -> Ints:
        """When each current value became known, int64 [n]; NEVER for none."""
        known: Ints = self._sheet.columns(rows, _KNOWN)[0] ^ NEVER
        return known

    def prepare(self, sheet: SharedSheet, rows: Ints, known_at: Ints, values: NDArray[np.generic]) -> Iterator[Write]:
        """The writes of changes in the order in which they became known; older ones than those held are left out."""
        keep = np.flatnonzero((known_at >= self.known_at(rows)) & (rows < sheet.rows))
        row, last = np.unique(rows[keep][::-1], return_index=True)
        pick = keep[::-1][last]
        lines = np.empty((len(pick), sheet.width), np.int64)
        lines[:, 0] = known_at[pick] ^ NEVER
        lines[:, 1:] = values[pick].view(np.int64).reshape(len(pick), sheet.width - 1) ^ self._empty
        yield sheet.write(row, np.arange(sheet.width), lines)
