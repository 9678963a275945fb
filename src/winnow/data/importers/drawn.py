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
        unlike: the column of who chose: nobody gets a value that they have in any row.
        rows: how many beside each row.
    """

    of: str
    unlike: str
    rows: Annotated[int, msgspec.Meta(ge=1, le=100)] = 4


class Others:
    """Draws values that a row could have had: known by then, never chosen by the same one, the frequent ones more often.

    A value is drawn with a chance that grows with the power 0.75 of how often it occurs, as word2vec draws words
    (Mikolov et al., Distributed representations of words and phrases, 2013). Draws repeat for the same files.

    Args:
        drawn: what to draw.
        chosen: all rows: columns `of`, `unlike` and `at` (microseconds), without missing values.
    """

    def __init__(self, drawn: Drawn, chosen: pl.DataFrame) -> None:
        first = chosen.group_by(drawn.of).agg(pl.min("at"), rows=pl.len()).sort("at", drawn.of)
        self._drawn, self._values, self._known_at = drawn, first[drawn.of], first["at"].to_numpy()
        self._chance = np.cumsum(first["rows"].to_numpy().astype(np.float64) ** POWER)
        self._places = pl.DataFrame({drawn.of: self._values, "_place": np.arange(len(first))})
        people = chosen[drawn.unlike].unique().sort()
        self._people = pl.DataFrame({drawn.unlike: people, "_who": np.arange(len(people))})
        own = chosen.join(self._places, on=drawn.of).join(self._people, on=drawn.unlike)
        self._own = np.unique(own["_who"].to_numpy() * len(first) + own["_place"].to_numpy())
        self._rng = np.random.default_rng(len(first))

    def beside(self, batch: pl.DataFrame, at: _Ints) -> Iterator[tuple[int, pl.DataFrame, NDArray[np.bool_]]]:
        """For each of the rows beside: its number, the batch with another value, and for which rows one was found.

        Args:
            batch: rows of the file.
            at: their moments, microseconds, int64 [n].
        """
        joined = batch.join(self._people, on=self._drawn.unlike, how="left", maintain_order="left")
        who = joined["_who"].fill_null(-1).to_numpy()
        for number in range(self._drawn.rows):
            place = self._draw(who, at)
            values = self._values.gather(np.maximum(place, 0)).alias(self._drawn.of)
            yield number, batch.with_columns(values), place >= 0

    def _draw(self, who: _Ints, at: _Ints) -> _Ints:
        """Places among the values, -1 where none was found in a few tries, int64 [n]."""
        known = np.searchsorted(self._known_at, at, "right")
        place, open_ = np.full(len(who), -1), np.flatnonzero((known > 0) & (who >= 0))
        for _ in range(_TRIES):
            chance = self._rng.random(len(open_)) * self._chance[known[open_] - 1]
            drawn = np.searchsorted(self._chance, chance, "right")
            fits = ~np.isin(who[open_] * len(self._values) + drawn, self._own)
            place[open_[fits]] = drawn[fits]
            open_ = open_[~fits]
        return place


def moments(column: pl.Series) -> pl.Series:
    """Moments as they come, as microseconds UTC; missing where they cannot be read."""
    if column.dtype == pl.String:
        column = column.str.strip_chars().str.to_datetime(time_unit="us", time_zone="UTC", strict=False)
    if column.dtype == pl.Date:
        return column.cast(pl.Int64) * (86_400 * MICROS)
    return column.cast(pl.Datetime("us")).cast(pl.Int64) if column.dtype.is_temporal() else column.cast(pl.Int64)
