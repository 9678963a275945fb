"""Criteo: a week of display ads, thirteen numbers and twenty-six categories each, clicked or not.

Download: https://ailab.criteo.com/ressources/ (Kaggle Display Advertising Challenge; terms: non-commercial, also
published as CC BY-NC-SA 4.0). Source: Criteo Labs, "Display Advertising Challenge", Kaggle, 2014.

The folder holds one or more of `train*`, `dev*` and `test*`: lines without names, columns set apart by tabs, 40 of
them, or 39 where the click is not told (the challenge's own test file: such rows bring an impression and no click).
Nobody knows what the columns mean: the numbers are mostly counts (`i1` to `i13`; some are missing, some below 0), the
categories are codes that Criteo hashed (`c1` to `c26`). There are no times, no people and no ads: impressions are set
one second apart from 2014 on in the order of the files, the user is one that stands for everybody, and the ad is `c3`,
one of the columns with the most values (`none` where it is missing).
"""

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from winnow.core.time import MICROS, parse_time
from winnow.data.importers.avazu import batches, files
from winnow.data.importers.base import Importer, Part

NUMBERS, CODES = tuple(f"i{n}" for n in range(1, 14)), tuple(f"c{n}" for n in range(1, 27))
COLUMNS = ("click", *NUMBERS, *CODES)
_BEGAN = parse_time("2014-01-01T00:00:00Z")


class Criteo(Importer):
    """Impressions with their numbers and codes, and clicks."""

    name = "criteo"

    def events(self, path: Path) -> Iterator[Part]:
        for rows in read(path):
            shown = rows.with_columns(
                user=pl.lit("anybody"),
                ad=pl.col("c3").fill_null("none"),
                event_id=pl.format("criteo-impression-{}", "row"),
            )
            yield "impression", shown.drop("click", "row")
            clicked = shown.filter(pl.col("click") == "1")
            yield "click", clicked.select("at", "user", "ad", event_id=pl.format("criteo-click-{}", "row"))


def read(path: Path) -> Iterator[pl.DataFrame]:
    """The rows of each file: `click` ("1", "0", or null where it is not told), `i1` to `i13` (float64), `c1` to `c26`
    (text), `row` (over all files) and `at` (int64 microseconds UTC).

    Args:
        path: the folder, or one file.

    Raises:
        NotFound: `missing-file`.
        InputError: `wrong-columns`.
    """
    before = 0
    for one in files(path):
        for rows in batches(one, COLUMNS, label="click", separator="\t"):
            numbers = pl.col(NUMBERS).cast(pl.Float64, strict=False)
            numbered = rows.with_row_index("row", offset=before).with_columns(numbers)
            before += len(rows)
            yield numbered.with_columns(at=_BEGAN + pl.col("row").cast(pl.Int64) * MICROS)
