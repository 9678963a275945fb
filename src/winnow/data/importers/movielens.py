"""MovieLens latest-small: 100,836 ratings of films, with titles and genres people can judge.

Download: https://files.grouplens.org/datasets/movielens/ml-latest-small.zip (an MD5 sum lies beside it). Its own
terms: redistribution under the same conditions, no commercial use without permission. Source: Harper and Konstan, "The
MovieLens Datasets: History and Context", ACM TiiS 5(4), 2015.

A rating is taken as an impression that was clicked and watched, all at the moment of the rating; `long` from 4 stars
on, a like from 4.5. A film is taken as uploaded when the year in its title begins.
"""

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from winnow.data.importers.base import Importer, Part, file

LONG, LIKED = 4.0, 4.5  # stars


class MovieLens(Importer):
    """Films as videos, ratings as impressions, clicks, watches and likes."""

    name = "movielens"

    def tables(self, path: Path) -> Iterator[Part]:
        yield "video", _films(_lower(pl.read_csv(file(path, "movies.csv"))))

    def events(self, path: Path) -> Iterator[Part]:
        ratings = _lower(pl.read_csv(file(path, "ratings.csv"))).sort("timestamp", maintain_order=True)
        yield "impression", _event(ratings, "impression")
        yield "click", _event(ratings, "click")
        yield "watch", _event(ratings, "watch", long=pl.col("rating") >= LONG)
        yield "like", _event(ratings.filter(pl.col("rating") >= LIKED), "like")


def _lower(frame: pl.DataFrame) -> pl.DataFrame:
    """Copies of the files differ in the case of their headers."""
    return frame.rename(str.lower)


def _films(raw: pl.DataFrame) -> pl.DataFrame:
    year = pl.col("title").str.extract(r"\((\d{4})\)\s*$").cast(pl.Int32)
    uploaded = pl.datetime(year, 1, 1, time_unit="us", time_zone="UTC")
    genres = pl.when(pl.col("genres") != "(no genres listed)").then(pl.col("genres").str.split("|"))
    return raw.select(
        "title",
        video_id="movieid",
        changed_at=uploaded.fill_null(pl.datetime(1970, 1, 1, time_unit="us", time_zone="UTC")),
        uploaded_at=uploaded,
        tags=genres,
        available=pl.lit(True),
    )


def _event(ratings: pl.DataFrame, name: str, **fields: pl.Expr) -> pl.DataFrame:
    event_id = pl.format("{}-{}-{}-{}", "timestamp", "userid", "movieid", pl.lit(name))
    at = pl.col("timestamp").cast(pl.Int64) * 1_000_000
    return ratings.select(event_id=event_id, at=at, user="userid", video="movieid", **fields)
