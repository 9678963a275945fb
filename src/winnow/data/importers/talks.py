"""Talks as videos to be searched: one CSV table with a title, a description, tags, a speaker, lengths and dates.

Made for the table of TED talks by Rounak Banik (Kaggle, CC BY-NC-SA 4.0): `ted_main.csv` with 2,550 talks. Any CSV
with these columns is read alike: `title`, `description`, `tags` (a list as Python writes it, or words separated by
commas), `speaker` or `main_speaker`, `duration` in seconds, `published_date` in seconds since 1970; `url` is the id
where there is one, else the title. There are no queries and no clicks: retrieval and fusion by place need none.
"""

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from winnow.core.errors import InputError, Problem
from winnow.data.importers.base import Importer, Part, file

NEEDED = ("title", "description", "tags", "duration", "published_date")
SPEAKERS = ("speaker", "main_speaker")


class Talks(Importer):
    """Talks as videos; the path is the file, or the folder with one `*.csv`."""

    name = "talks"

    def tables(self, path: Path) -> Iterator[Part]:
        yield "video", talks(path if path.is_file() else file(path, "*.csv"))


def talks(path: Path) -> pl.DataFrame:
    """The table as rows of videos.

    Args:
        path: of the CSV file.

    Raises:
        InputError: `wrong-columns`.
    """
    raw = pl.read_csv(path, infer_schema=False)
    speaker = next((name for name in SPEAKERS if name in raw.columns), "")
    if lacking := [name for name in NEEDED if name not in raw.columns]:
        what = f"`{path.name}` has no column {', '.join(f'`{name}`' for name in lacking)}"
        raise InputError(Problem("wrong-columns", what, str(path), fix=f"it needs {', '.join(NEEDED)}"))
    published = pl.from_epoch(pl.col("published_date").cast(pl.Int64, strict=False)).dt.replace_time_zone("UTC")
    address = pl.col("url").str.strip_chars().str.extract(r"([^/]+)$") if "url" in raw.columns else pl.lit(None)
    return raw.select(
        pl.col("title").str.strip_chars(),
        pl.col("description").str.strip_chars(),
        video_id=pl.coalesce(address, pl.col("title").str.strip_chars()),
        tags=pl.col("tags")
        .str.extract_all(r"[^\[\]'\",]+")
        .list.eval(pl.element().str.strip_chars())
        .list.eval(pl.element().filter(pl.element() != "")),
        speaker=pl.col(speaker).str.strip_chars() if speaker else pl.lit(None, pl.String),
        language=pl.lit("en"),
        duration_s=pl.col("duration").cast(pl.Float64, strict=False),
        published_at=published,
        changed_at=published.fill_null(pl.datetime(1970, 1, 1, time_zone="UTC")),
        available=pl.lit(True),
    )
