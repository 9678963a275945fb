"""Avazu: ten days of mobile ads in October 2014, each shown once and clicked or not.

Download: https://www.kaggle.com/c/avazu-ctr-prediction/data (competition rules: for the competition and for research,
no redistribution). Source: Avazu Inc., "Click-Through Rate Prediction", Kaggle, 2014.

The folder holds one or more of `train*`, `dev*` and `test*`, as `.csv` or `.gz`, with or without the line of names,
with 24 columns, or 23 where the click is not told (the competition's own test file: such rows bring an impression and
no click). The values are codes that Avazu hashed; the time has hours only, so each impression gets a moment of its hour
that follows from its id. Nobody is named: who saw the ad is the device, and where `device_id` is the one that stands
for "unknown", the address and the model of the device together. What was shown is `C14`, the finest of the codes that
tell ads apart; `c15` to `c21` and `banner_pos` tell of the place and of what the ad belongs to.
"""

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from winnow.core.errors import InputError, Problem
from winnow.data.importers.base import Importer, Part, file
from winnow.data.intake import SLICE

COLUMNS = (
    "id", "click", "hour", "C1", "banner_pos", "site_id", "site_domain", "site_category", "app_id", "app_domain",
    "app_category", "device_id", "device_ip", "device_model", "device_type", "device_conn_type",
    *(f"C{n}" for n in range(14, 22)),
)  # fmt: skip
FIELDS = tuple(c.lower() for c in COLUMNS if c not in ("id", "click", "hour", "device_id"))
UNKNOWN_DEVICE = "a99f214a"
_HOUR = 3_600_000_000


class Avazu(Importer):
    """Impressions with their codes, and clicks."""

    name = "avazu"

    def events(self, path: Path) -> Iterator[Part]:
        for rows in read(path):
            event = rows.select("at", user=person(), ad="C14", event_id=pl.format("avazu-impression-{}", "id"))
            codes = rows.select(pl.col(c).alias(c.lower()) for c in COLUMNS if c.lower() in FIELDS)
            yield "impression", event.with_columns(codes.get_columns())
            clicked = rows.filter(pl.col("click") == "1")
            yield "click", clicked.select("at", user=person(), ad="C14", event_id=pl.format("avazu-click-{}", "id"))


def person() -> pl.Expr:
    """Who saw an ad, as far as anybody can tell."""
    device = pl.col("device_id")
    return pl.when(device == UNKNOWN_DEVICE).then(pl.format("{}-{}", "device_ip", "device_model")).otherwise(device)


def read(path: Path) -> Iterator[pl.DataFrame]:
    """The rows of each file: the columns of Avazu as text (`click` is null where it is not told), and `at`, int64
    microseconds UTC.

    Args:
        path: the folder, or one file.

    Raises:
        NotFound: `missing-file`.
        InputError: `wrong-columns`.
    """
    for one in files(path):
        for rows in batches(one, COLUMNS, label="click", separator=","):
            yield rows.filter(pl.col("id") != "id").with_columns(at=_moment()).select(*COLUMNS, "at").sort("at")


def batches(path: Path, columns: tuple[str, ...], *, label: str, separator: str) -> Iterator[pl.DataFrame]:
    """A file without names as text, in pieces, larger than memory; `label` is null when the file lacks it.

    Raises:
        InputError: `wrong-columns`.
    """
    raw = pl.scan_csv(
        path, separator=separator, has_header=False, infer_schema=False, null_values="", quote_char=None
    )  # fmt: skip
    found = raw.collect_schema().names()
    without = tuple(c for c in columns if c != label)
    if len(found) not in (len(columns), len(without)):
        what = f"{len(found)} columns instead of {len(columns)}, or {len(without)} without `{label}`"
        raise InputError(Problem("wrong-columns", what, path.name, fix="give the files as they were published"))
    names = columns if len(found) == len(columns) else without
    named = raw.select(pl.col(old).alias(new) for old, new in zip(found, names, strict=True))
    whole = named if names == columns else named.with_columns(pl.lit(None, pl.String).alias(label))
    yield from whole.collect_batches(chunk_size=SLICE, maintain_order=True)


def files(path: Path) -> list[Path]:
    """The files of a folder, training first.

    Raises:
        NotFound: `missing-file`.
    """
    if path.is_file():
        return [path]
    found = [f for name in ("train", "dev", "test") for f in sorted(path.glob(f"{name}*"))]
    return found or [file(path, "train*")]


def _moment() -> pl.Expr:
    """`hour` is YYMMDDHH."""
    text = pl.format("20{}00", "hour")
    hour = text.str.to_datetime("%Y%m%d%H%M", time_unit="us", time_zone="UTC", strict=False).cast(pl.Int64)
    within = pl.col("id").cast(pl.UInt64, strict=False).fill_null(0) % _HOUR
    return hour + within.cast(pl.Int64)
