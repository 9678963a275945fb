"""The same aggregates in polars: cumulative sums with `join_asof`, `rolling_sum_by`, and join and filter.

Each method is what the user guide shows for the purpose ("Joins", "Rolling window functions"). Events and questions
are frames in memory, sorted by time; a pair of keys is one whole number already.
"""

from typing import Any

import numpy as np
import polars as pl
from benchmarks.past.world import LAST, PRIOR, WINDOW, World, micros
from numpy.typing import NDArray

ONE = pl.lit(1, pl.Int64)


class Polars:
    """The frames of a world.

    Args:
        world: events and questions.
        by: name of the key.
    """

    name = "polars"

    def __init__(self, world: World, by: str):
        width = 50_000 if by == "pair" else 0

        def frame(who: Any, author: Any, at: Any, **more: Any) -> pl.DataFrame:
            return pl.DataFrame({"key": who * width + author if width else who, "at": at} | more)

        w, c = world.watches, world.clicks
        self.watches = frame(w["user"], w["author"], w["at"], seconds=micros(world), video=w["video"]).lazy()
        self.clicks = frame(c["user"], c["author"], c["at"]).lazy()
        self.rows = frame(*world.asked, row=np.arange(world.rows)).lazy()
        # A join on the key alone gives every event of a user for every question: tens of billions of rows.
        self.windows = ["asof", "rolling"] if by == "user" else ["asof", "asof_asked", "rolling", "join"]
        self.lists = ["asof", "asof_asked"]

    def count(self, method: str) -> NDArray[Any]:
        return self._summed(method, self.watches, ONE).collect()["n"].to_numpy()

    def sum(self, method: str) -> NDArray[Any]:
        return self._summed(method, self.watches, pl.col("seconds")).collect()["n"].to_numpy()

    def rate(self, method: str) -> NDArray[Any]:
        parts = [self._summed(method, events, ONE) for events in (self.clicks, self.watches)]
        clicks, watches = (frame["n"] for frame in pl.collect_all(parts))
        return ((clicks + PRIOR[0]) / (watches + PRIOR[1])).to_numpy()

    def _summed(self, method: str, events: pl.LazyFrame, value: pl.Expr) -> pl.LazyFrame:
        if method == "rolling":
            return self._rolling(events, value)
        if method == "join":
            return self._joined(events, value)
        events = self._asked(events) if method == "asof_asked" else events
        # The cumulative value of the last event before a moment stands for all events before it.
        running = pl.int_range(1, pl.len() + 1) if value is ONE else value.cum_sum()
        sums = events.select("key", "at", n=running.over("key")).collect().lazy()
        rows = self.rows.select("key", "at")
        now, then = (
            rows.with_columns(at=pl.col("at") - back).join_asof(
                sums, on="at", by="key", allow_exact_matches=False, check_sortedness=False
            )
            for back in (0, WINDOW - 1)
        )
        return pl.concat(
            [now.select(now=pl.col("n").fill_null(0)), then.select(then=pl.col("n").fill_null(0))], how="horizontal"
        ).select(n=pl.col("now") - pl.col("then"))

    def _asked(self, events: pl.LazyFrame) -> pl.LazyFrame:
        return events.join(self.rows.select("key").unique(), on="key", how="semi", maintain_order="left")

    def _rolling(self, events: pl.LazyFrame, value: pl.Expr) -> pl.LazyFrame:
        added = events.select("key", "at", n=value, row=pl.lit(None, pl.Int64))
        both = pl.concat([added, self.rows.select("key", "at", n=pl.lit(0, pl.Int64), row="row")]).sort("at")
        over = pl.col("n").rolling_sum_by("at", window_size=f"{WINDOW}i", closed="none").over("key")
        return both.with_columns(n=over).filter(pl.col("row").is_not_null()).sort("row").select("n")

    def _joined(self, events: pl.LazyFrame, value: pl.Expr) -> pl.LazyFrame:
        added = events.select("key", "at", n=value)
        inside = (pl.col("at_event") < pl.col("at")) & (pl.col("at_event") > pl.col("at") - WINDOW)
        pairs = self.rows.join(added.rename({"at": "at_event"}), on="key").filter(inside)
        sums = pairs.group_by("row").agg(pl.col("n").sum())
        return self.rows.select("row").join(sums, on="row", how="left", maintain_order="left").select(
            pl.col("n").fill_null(0)
        )  # fmt: skip

    def last50(self, method: str) -> pl.DataFrame:
        """The number of the last event before each moment by `join_asof`, then the 50 up to it."""
        events = self._asked(self.watches) if method == "asof_asked" else self.watches
        events = events.sort("key", maintain_order=True).with_row_index("place")
        events = events.with_columns(nth=pl.int_range(1, pl.len() + 1).over("key")).collect().lazy()
        last = self.rows.join_asof(
            events.select("key", "at", "place", "nth").sort("at"),
            on="at", by="key", allow_exact_matches=False, check_sortedness=False,
        ).collect()  # fmt: skip
        many = pl.col("nth").clip(upper_bound=LAST).fill_null(0)
        place = pl.col("place").cast(pl.Int64).fill_null(-1)
        flat = last.lazy().select("row", place=pl.int_ranges(place, place - many, -1)).explode("place").collect()
        found = events.select("video", "at").collect()[flat["place"].drop_nulls()]
        there = flat.filter(pl.col("place").is_not_null()).select("row").hstack(found)
        return there.group_by("row", maintain_order=True).agg("video", "at")

    def lists_of(self, found: pl.DataFrame, rows: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """Lists as padded arrays, to compare."""
        return padded(found, rows)


def padded(found: pl.DataFrame, rows: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Lists per row as int64 [rows, 50], -1 and int64 min where there are fewer."""
    lengths = found["video"].list.len().to_numpy().astype(np.int64)
    row = np.repeat(found["row"].to_numpy(), lengths)
    place = np.arange(len(row)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    made = np.full((rows, LAST), -1), np.full((rows, LAST), np.iinfo(np.int64).min)
    for array, column in zip(made, ("video", "at"), strict=True):
        array[row, place] = found[column].explode().to_numpy()
    return made
