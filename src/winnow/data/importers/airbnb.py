"""Inside Airbnb: the listings of a city, who reviewed which, and a calendar of a year.

Download: https://insideairbnb.com/get-the-data/ has `listings.csv.gz`, `reviews.csv.gz` and `calendar.csv.gz` of a city
and month; CC BY 4.0. The files of `airbnb_singapore` are those of 2023-09-23, from github.com/mahima-bhandari/
Singapore-Airbnb-Analysis, commit 1777c37, without names and pictures of people.

There are no views and no bookings. A review is taken as both, at the midnight (UTC) of its day: whoever reviews has
stayed. Columns are those of the snapshot, so prices and ratings are later than most reviews. The region
(`neighbourhood_group_cleansed`) is taken as the city: one file is one city, and visitors cross regions less than
neighbourhoods. When a listing began is not told. Ids are given in order, so it began no later than the first review of
any listing whose id is as large or larger.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from winnow.core.time import MICROS
from winnow.data.importers.base import Importer, Part, file
from winnow.data.nights import date_of, day_of, written

Ints = NDArray[np.int64]
REVIEW = "review"
_DAY = 86_400 * MICROS
_AT_ONCE = 10_000


class Airbnb(Importer):
    """Listings with calendars; reviews as views and bookings."""

    name = "airbnb"

    def tables(self, path: Path) -> Iterator[Part]:
        listings = _texts(path, "listings.csv*", "id")
        began = _began(listings["id"].to_list(), _texts(path, "reviews.csv*", "reviewer_id"))
        calendars = _calendars(_texts(path, "calendar.csv*", "available"))
        yield "listing", _listings(listings, began, calendars)

    def events(self, path: Path) -> Iterator[Part]:
        reviews = _texts(path, "reviews.csv*", "reviewer_id").sort("date", "id", maintain_order=True)
        told = reviews.select(at=pl.col("date").str.to_date().cast(pl.Int64) * _DAY, visitor="reviewer_id",
                              listing="listing_id", event_id="id")  # fmt: skip
        for name, more in (("view", {"source": pl.lit(REVIEW)}), ("book", {})):
            frame = told.with_columns(event_id=pl.format("{}-{}", "event_id", pl.lit(name)), **more)
            for start in range(0, len(frame), _AT_ONCE):
                yield name, frame[start : start + _AT_ONCE]


def _texts(path: Path, pattern: str, column: str) -> pl.DataFrame:
    """The file of a folder that has a column, everything as text: a summary of the same name may lie beside it."""
    for found in sorted(path.glob(pattern), key=lambda p: -len(p.name)):
        frame = pl.read_csv(found, infer_schema=False)
        if column in frame.columns:
            return frame
    return pl.read_csv(file(path, pattern), infer_schema=False)


def _began(ids: list[str], reviews: pl.DataFrame) -> Ints:
    """When each listing was there at the latest, int64 [L], microseconds UTC."""
    first = dict(reviews.group_by("listing_id").agg(pl.col("date").min()).iter_rows())
    last = max(reviews["date"].to_list(), default="1970-01-01")
    days = np.array([day_of(first.get(i, last)) for i in ids], np.int64)
    order = np.argsort([int(i) for i in ids], kind="stable")
    began = np.empty(len(ids), np.int64)
    began[order] = np.minimum.accumulate(days[order][::-1])[::-1]
    return began * _DAY


def _calendars(told: pl.DataFrame) -> dict[str, str]:
    """Listing → value of a `nights` column."""
    found = {}
    told = told.select("listing_id", "date", free=pl.col("available") == "t").sort("listing_id", "date")
    for listing, dates, free in told.group_by("listing_id", maintain_order=True).agg("date", "free").iter_rows():
        days = np.array([day_of(d) for d in dates])
        bits = np.zeros(int(days[-1] - days[0]) + 1, bool)
        bits[days - days[0]] = free
        found[str(listing)] = written(date_of(int(days[0])), bits)
    return found


def _listings(raw: pl.DataFrame, began: Ints, calendars: dict[str, str]) -> pl.DataFrame:
    def number(name: str) -> pl.Expr:
        """From text such as $1,250.00."""
        return pl.col(name).str.replace_all(r"[^0-9.\-]", "").cast(pl.Float64, strict=False)

    return raw.select(
        listing_id="id", changed_at=pl.Series(began), title="name", text="description", host="host_id",
        city="neighbourhood_group_cleansed", area="neighbourhood_cleansed", kind="room_type", lat=number("latitude"),
        lon=number("longitude"), price=number("price"), rating=number("review_scores_rating"), beds=number("beds"),
        guests=number("accommodates"), calendar=pl.Series([calendars.get(i) for i in raw["id"]], dtype=pl.String),
        listed_at=pl.Series(began),
    ).sort("changed_at")  # fmt: skip
