"""What people left alone, drawn by chance, for logs that tell what they chose and not what they were shown."""

from collections.abc import Iterator
from typing import Annotated

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from winnow.core.time import MICROS

POWER = 0.75  # what is chosen often is also shown often, though not as often as it is chosen
_TRIES = 8
_Ints = NDArray[np.int64]


class Drawn(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Rows added beside each row of a file: the same, about something else.

    Args:
        of: the column that gets another value.
        rows: how many beside each row.
    """

    of: str
    rows: Annotated[int, msgspec.Meta(ge=1, le=100)] = 4


class Others:
    """Draws values that rows could have had: those that occurred by then, the frequent ones more often.

    A value is drawn with a chance that grows with the power 0.75 of how often it occurs, as word2vec draws words
    (Mikolov et al., Distributed representations of words and phrases, 2013). Nothing that somebody does later, or did
    before, decides what is drawn beside them: otherwise what was once drawn would tell what they will choose. Draws
    repeat for the same files.

    Args:
        of: the column.
        chosen: all rows: the column and `at` (microseconds), without missing values.
    """

    def __init__(self, of: str, chosen: pl.DataFrame) -> None:
        first = chosen.group_by(of).agg(pl.min("at"), rows=pl.len()).sort("at", of)
        self._of, self._values, self._known_at = of, first[of], first["at"].to_numpy()
        self._chance = np.cumsum(first["rows"].to_numpy().astype(np.float64) ** POWER)
        self._rng = np.random.default_rng(len(first))

    def beside(self, batch: pl.DataFrame, at: _Ints) -> tuple[pl.DataFrame, NDArray[np.bool_]]:
        """One row beside each: the batch with other values, and for which rows one was found.

        Args:
            batch: rows of the file.
            at: their moments, microseconds, int64 [n].
        """
        places = pl.DataFrame({self._of: self._values, "place": np.arange(len(self._values))})
        own = batch.join(places, on=self._of, how="left", maintain_order="left")["place"].fill_null(-1).to_numpy()
        place = self._draw(own, at)
        return batch.with_columns(self._values.gather(np.maximum(place, 0)).alias(self._of)), place >= 0

    def _draw(self, own: _Ints, at: _Ints) -> _Ints:
        """Places among the values other than the row's own, -1 where none was found in a few tries, int64 [n]."""
        known = np.searchsorted(self._known_at, at, "right")
        place, open_ = np.full(len(own), -1), np.flatnonzero((known > 0) & (own >= 0))
        for _ in range(_TRIES):
            chance = self._rng.random(len(open_)) * self._chance[known[open_] - 1]
            drawn = np.searchsorted(self._chance, chance, "right")
            fits = drawn != own[open_]
            place[open_[fits]] = drawn[fits]
            open_ = open_[~fits]
        return place


def beside(batch: pl.DataFrame, at: _Ints, others: Others, rows: int) -> Iterator[tuple[int, pl.DataFrame, pl.Series]]:
    """For each of the rows beside, from 1 on: its number, the batch with other values, and which of it to take."""
    for number in range(1, rows + 1):
        made, found = others.beside(batch, at)
        yield number, made, pl.Series(found)


def moments(column: pl.Series) -> pl.Series:
    """Moments as they come, as microseconds UTC; missing where they cannot be read."""
    if column.dtype == pl.String:
        column = column.str.strip_chars().str.to_datetime(time_unit="us", time_zone="UTC", strict=False)
    if column.dtype == pl.Date:
        return column.cast(pl.Int64) * (86_400 * MICROS)
    return column.cast(pl.Datetime("us")).cast(pl.Int64) if column.dtype.is_temporal() else column.cast(pl.Int64)
